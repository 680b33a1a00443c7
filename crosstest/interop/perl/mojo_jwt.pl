# Mojo::JWT checks the signature and the times, and neither iss nor aud.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use serve;
use MIME::Base64;
use Mojo::JWT;

serve::serve($Mojo::JWT::VERSION, sub {
    my ($request) = @_;
    my $jwt = Mojo::JWT->new;
    if (serve::symmetric($request)) { $jwt->secret(decode_base64($request->{secret})) }
    else                            { $jwt->public($request->{pem}) }
    return $jwt->decode($request->{token});
});
