import json

from jwcrypto.jwk import JWK, JWKSet
from jwcrypto.jwt import JWT

from serve import key_set, secret_jwk, serve, symmetric


def verify(request):
    if symmetric(request):
        key = JWK(**secret_jwk(request))
    else:
        key = JWKSet.from_json(json.dumps(key_set(request)))
    token = JWT(
        algs=[request["algorithm"]],
        check_claims={"iss": request["issuer"], "aud": request["audience"], "exp": None},
    )
    # The default leeway of a minute would hide a token that is not active yet.
    token.leeway = 0
    token.deserialize(request["token"], key)
    return json.loads(token.claims)


serve("jwcrypto", verify)
