use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use serve;
use Crypt::JWT qw(decode_jwt);
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64;

serve::serve($Crypt::JWT::VERSION, sub {
    my ($request) = @_;
    my %key = serve::symmetric($request)
        ? (key => decode_base64($request->{secret}))
        : (kid_keys => decode_json(HTTP::Tiny->new->get($request->{jwksURL})->{content}));
    return decode_jwt(
        token        => $request->{token},
        accepted_alg => $request->{algorithm},
        verify_iss   => sub { $_[0] eq $request->{issuer} },
        verify_aud   => $request->{audience},
        verify_exp   => 1,
        verify_nbf   => 1,
        verify_iat   => 1,
        %key,
    );
});
