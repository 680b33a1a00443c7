from authlib.jose import JsonWebKey, JsonWebToken

from serve import key_set, secret_jwk, serve, symmetric


def verify(request):
    if symmetric(request):
        keys = JsonWebKey.import_key(secret_jwk(request))
    else:
        keys = JsonWebKey.import_key_set(key_set(request))
    rules = {
        "iss": {"essential": True, "value": request["issuer"]},
        "aud": {"essential": True, "value": request["audience"]},
    }
    claims = JsonWebToken([request["algorithm"]]).decode(request["token"], keys, claims_options=rules)
    claims.validate()
    return claims


serve("Authlib", verify)
