import { createRemoteJWKSet, importJWK, jwtVerify } from 'jose';
import { once, secretOf, serve, symmetric } from './lib/serve.mjs';

const remote = once((request) => createRemoteJWKSet(new URL(request.jwksURL)), 'jwksURL');

serve('jose', async (request) => {
  const key = symmetric(request) ? secretOf(request) : remote(request);
  const { issuer, audience, algorithm } = request;
  return (await jwtVerify(request.token, key, { issuer, audience, algorithms: [algorithm] })).payload;
});
