import jwt from 'jsonwebtoken';
import jwksClient from 'jwks-rsa';
import { once, secretOf, serve, symmetric } from './lib/serve.mjs';

const client = once((request) => jwksClient({ jwksUri: request.jwksURL }), 'jwksURL');

serve('jsonwebtoken', async (request) => {
  const { kid } = jwt.decode(request.token, { complete: true }).header;
  const key = symmetric(request) ? secretOf(request) : (await client(request).getSigningKey(kid)).getPublicKey();
  const { issuer, audience, algorithm } = request;
  return jwt.verify(request.token, key, { issuer, audience, algorithms: [algorithm] });
});
