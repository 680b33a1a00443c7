// openid-client asks a provider for an access token, by discovery and client credentials.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import * as client from 'openid-client';

const { version } = JSON.parse(readFileSync(new URL('./node_modules/openid-client/package.json', import.meta.url)));
const print = (value) => process.stdout.write(JSON.stringify(value) + '\n');

print({ version });
for await (const line of createInterface({ input: process.stdin })) {
  const { issuer, id, secret, resource, scope } = JSON.parse(line);
  const config = await client.discovery(new URL(issuer), id, secret, undefined, { execute: [client.allowInsecureRequests] });
  const { access_token: token } = await client.clientCredentialsGrant(config, { resource, scope });
  print({ token });
}
process.exit(0);
