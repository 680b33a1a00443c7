import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"], SECRET_KEY="interop" * 8)
django.setup()

from rest_framework_simplejwt.backends import TokenBackend  # noqa: E402

from serve import secret, serve, symmetric  # noqa: E402


def verify(request):
    backend = TokenBackend(
        request["algorithm"],
        signing_key=secret(request) if symmetric(request) else "",
        verifying_key="",
        audience=request["audience"],
        issuer=request["issuer"],
        jwk_url=None if symmetric(request) else request["jwksURL"],
    )
    return backend.decode(request["token"])


serve("djangorestframework-simplejwt", verify)
