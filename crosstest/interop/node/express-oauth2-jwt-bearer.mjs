// The argument "strict" asks for access tokens of RFC 9068.
import express from 'express';
import { auth } from 'express-oauth2-jwt-bearer';
import { once, overHTTP, secretOf, serve, symmetric } from './lib/serve.mjs';

const strict = process.argv[2] === 'strict';

const app = once((request) => {
  const { issuer, audience, algorithm } = request;
  const key = symmetric(request) ? { secret: secretOf(request).toString('latin1') } : { jwksUri: request.jwksURL };
  const server = express();
  server.get('/', auth({ issuer, audience, tokenSigningAlg: algorithm, strict, ...key }), (req, res) => res.json(req.auth.payload));
  server.use((error, req, res, next) => res.status(401).json({ error: error.message }));
  return server;
}, 'algorithm', 'issuer', 'audience', 'jwksURL', 'secret');

serve('express-oauth2-jwt-bearer', overHTTP(app));
