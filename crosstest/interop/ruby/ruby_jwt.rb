require "jwt"
require_relative "serve"

serve(JWT::VERSION::STRING) do |request|
  rules = {
    algorithms: [request["algorithm"]],
    iss: request["issuer"], verify_iss: true,
    aud: request["audience"], verify_aud: true,
    verify_iat: true
  }
  if symmetric(request)
    JWT.decode(request["token"], secret(request), true, rules).first
  else
    keys = JSON.parse(key_set(request), symbolize_names: true)
    JWT.decode(request["token"], nil, true, rules.merge(jwks: keys)).first
  end
end
