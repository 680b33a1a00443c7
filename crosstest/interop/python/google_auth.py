"""google-auth checks the signature, aud and the times, and not iss. It takes certificates."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import jwt

from serve import serve

authority = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(pem):
    """Return a certificate of the public key, because google-auth takes RSA keys in no other form."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "interop")])
    now = datetime.datetime.utcnow()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(serialization.load_pem_public_key(pem.encode()))
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(authority, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def verify(request):
    return jwt.decode(request["token"], certs=certificate(request["pem"]), audience=request["audience"])


serve("google-auth", verify)
