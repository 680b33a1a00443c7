import express from 'express';
import { expressjwt } from 'express-jwt';
import { expressJwtSecret } from 'jwks-rsa';
import { once, overHTTP, secretOf, serve, symmetric } from './lib/serve.mjs';

const app = once((request) => {
  const { issuer, audience, algorithm } = request;
  const secret = symmetric(request) ? secretOf(request) : expressJwtSecret({ jwksUri: request.jwksURL });
  const server = express();
  server.get('/', expressjwt({ secret, issuer, audience, algorithms: [algorithm] }), (req, res) => res.json(req.auth));
  server.use((error, req, res, next) => res.status(401).json({ error: error.message }));
  return server;
}, 'algorithm', 'issuer', 'audience', 'jwksURL', 'secret');

serve('express-jwt', overHTTP(app));
