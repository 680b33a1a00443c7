# Answers requests on standard input: a JSON object on each line, and one for each on standard output.
# The first line that it prints has the version of the gem.
require "base64"
require "json"
require "net/http"

$stdout.sync = true

def serve(version)
  puts JSON.generate(version: version)
  $stdin.each_line do |line|
    claims = yield JSON.parse(line)
    puts JSON.generate(accepted: true, subject: claims["sub"])
  rescue StandardError => e
    puts JSON.generate(accepted: false, error: "#{e.class}: #{e.message}")
  end
end

def symmetric(request)
  request["algorithm"].start_with?("HS")
end

def secret(request)
  Base64.decode64(request["secret"])
end

def key_set(request)
  Net::HTTP.get(URI(request["jwksURL"]))
end
