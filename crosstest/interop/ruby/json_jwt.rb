# json-jwt checks the signature only.
require "json/jwt"
require_relative "serve"

serve(Gem.loaded_specs["json-jwt"].version.to_s) do |request|
  key = symmetric(request) ? secret(request) : JSON::JWK::Set.new(JSON.parse(key_set(request), symbolize_names: true))
  JSON::JWT.decode(request["token"], key, [request["algorithm"].to_sym])
end
