// libjwt checks the signature. An application reads the claims with its typed functions, as here: the
// times have to be integers.
#include <errno.h>
#include <jansson.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *member(json_t *request, const char *name) {
	return json_string_value(json_object_get(request, name));
}

static const char *check(jwt_t *jwt, json_t *request) {
	long now = time(NULL);
	errno = 0;
	long exp = jwt_get_grant_int(jwt, "exp"), nbf = jwt_get_grant_int(jwt, "nbf"), iat = jwt_get_grant_int(jwt, "iat");
	if (errno != 0)
		return "a time is not an integer";
	if (strcmp(jwt_alg_str(jwt_get_alg(jwt)), member(request, "algorithm")) != 0)
		return "another algorithm";
	if (exp <= now)
		return "expired";
	if (nbf > now || iat > now)
		return "not active";
	const char *iss = jwt_get_grant(jwt, "iss");
	if (iss == NULL || strcmp(iss, member(request, "issuer")) != 0)
		return "another issuer";
	const char *aud = jwt_get_grant(jwt, "aud");
	if (aud == NULL || strcmp(aud, member(request, "audience")) != 0)
		return "another audience";
	return NULL;
}

static size_t decode64(const char *text, unsigned char *bytes) {
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;
	unsigned value = 0, bits = 0;
	for (; *text && *text != '='; text++) {
		value = value << 6 | (unsigned)(strchr(digits, *text) - digits);
		if ((bits += 6) >= 8)
			bytes[n++] = (unsigned char)(value >> (bits -= 8));
	}
	return n;
}

static void respond(json_t *response) {
	char *text = json_dumps(response, JSON_COMPACT);
	puts(text);
	fflush(stdout);
	free(text);
	json_decref(response);
}

int main(int argc, char **argv) {
	respond(json_pack("{s:s}", "version", argc > 1 ? argv[1] : "unknown"));
	static char line[1 << 16];
	while (fgets(line, sizeof line, stdin)) {
		json_t *request = json_loads(line, 0, NULL);
		unsigned char secret[256];
		const unsigned char *key = secret;
		int length;
		if (strncmp(member(request, "algorithm"), "HS", 2) == 0) {
			length = (int)decode64(member(request, "secret"), secret);
		} else {
			key = (const unsigned char *)member(request, "pem");
			length = (int)strlen((const char *)key);
		}
		jwt_t *jwt = NULL;
		const char *error = NULL;
		if (jwt_decode(&jwt, member(request, "token"), key, length) != 0)
			error = "jwt_decode failed";
		else
			error = check(jwt, request);
		if (error != NULL)
			respond(json_pack("{s:b,s:s}", "accepted", 0, "error", error));
		else
			respond(json_pack("{s:b,s:s}", "accepted", 1, "subject", jwt_get_grant(jwt, "sub")));
		jwt_free(jwt);
		json_decref(request);
	}
	return 0;
}
