// @tsndr/cloudflare-worker-jwt checks the signature and the times, and neither iss nor aud.
import { verify } from '@tsndr/cloudflare-worker-jwt';
import { secretOf, serve, symmetric } from './lib/serve.mjs';

serve('@tsndr/cloudflare-worker-jwt', async (request) => {
  const key = symmetric(request) ? { kty: 'oct', k: secretOf(request).toString('base64url') } : request.jwk;
  return (await verify(request.token, key, { algorithm: request.algorithm, throwError: true })).payload;
});
