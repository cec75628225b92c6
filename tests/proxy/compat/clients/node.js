// fetch and axios. Usage: node node.js fetch|axios ORIGIN 1.1|2 < steps; see ../script.rs for both formats.
const crypto = require('crypto'), fs = require('fs'), http = require('http'), https = require('https');
const { Readable } = require('stream'), zlib = require('zlib');

const SHOWN = ['content-type', 'content-length', 'content-encoding', 'retry-after', 'www-authenticate'];
const [stack, origin, version] = process.argv.slice(2);

async function withFetch({ method, url, params, headers, json, form, data, chunked, stream }) {
  const target = params ? `${url}?${new URLSearchParams(params)}` : url;
  let body = data;
  if (json) {
    body = JSON.stringify(json);
    headers['Content-Type'] = 'application/json';
  }
  if (form) body = new URLSearchParams(form);
  if (chunked) body = Readable.toWeb(Readable.from(pieces(data)));
  const answer = await fetch(target, { method, headers, body, redirect: 'manual', signal: AbortSignal.timeout(30000), ...(chunked && { duplex: 'half' }) });
  const parts = [];
  if (stream) for await (const part of answer.body) parts.push(Buffer.from(part));
  else parts.push(Buffer.from(await answer.arrayBuffer()));
  // fetch does not say which version it spoke; Node's speaks this one alone.
  return { status: answer.status, version: '1.1', headers: name => answer.headers.get(name), body: Buffer.concat(parts) };
}

function axiosClient() {
  const axios = require('axios');
  const keep = { keepAlive: true };
  const client = axios.create({
    httpAgent: new http.Agent(keep), httpsAgent: new https.Agent(keep), maxRedirects: 0, validateStatus: () => true,
    maxBodyLength: Infinity, timeout: 30000, ...(version === '2' && { httpVersion: 2 }),
  });
  return async ({ method, url, params, headers, json, form, data, chunked, stream }) => {
    const body = chunked ? Readable.from(pieces(data)) : form ? new URLSearchParams(form) : json ?? data;
    const answer = await client.request({ method, url, params, headers, data: body, responseType: stream ? 'stream' : 'arraybuffer' });
    const parts = [];
    if (stream) for await (const part of answer.data) parts.push(part);
    else parts.push(Buffer.from(answer.data));
    const spoken = answer.request?.res?.httpVersion ?? (version === '2' ? '2' : '1.1');
    return { status: answer.status, version: spoken, headers: name => answer.headers[name], body: Buffer.concat(parts) };
  };
}

function* pieces(data) {
  for (let at = 0; at < data.length; at += 65536) yield data.subarray(at, at + 65536);
}

function bodyOf(kind, text, flags, request) {
  if (kind === 'json') request.json = JSON.parse(text);
  if (kind === 'form') request.form = Object.fromEntries(text.split('&').map(field => field.split(/=(.*)/s).slice(0, 2)));
  if (kind !== 'bytes' && kind !== 'pad') return;
  const size = parseInt(text);
  const data = kind === 'pad' ? text.slice(text.indexOf(':') + 1).padEnd(size) : Uint8Array.from({ length: size }, (_, i) => i % 251);
  request.data = Buffer.from(data);
  request.headers['Content-Type'] = kind === 'pad' ? 'application/json' : 'application/octet-stream';
  if (flags.includes('gzip')) {
    request.data = zlib.gzipSync(request.data);
    request.headers['Content-Encoding'] = 'gzip';
  }
  request.chunked = flags.includes('chunked');
}

function show(name, { status, version, headers, body }) {
  const shown = SHOWN.filter(key => headers(key) != null).map(key => `${key}: ${headers(key)}`).join('|');
  const digest = () => crypto.createHash('sha256').update(body).digest('hex');
  const content = body.length > 16384 ? `sha256:${body.length}:${digest()}` : body.toString('base64');
  console.log([name, status, version, shown || '-', content || '-'].join('\t'));
}

async function main() {
  const send = stack === 'fetch' ? withFetch : axiosClient();
  const known = {};
  const fill = text => text.replace(/\{(\w+)\}/g, (_, key) => known[key]);
  for (const line of fs.readFileSync(0, 'utf8').trimEnd().split('\n')) {
    const [name, flagged, method, path, query, body] = line.split('\t');
    const flags = flagged.split(',');
    const params = query === '-' ? undefined : Object.fromEntries(fill(query).split('&').map(field => field.split(/=(.*)/s).slice(0, 2)));
    for (let more = true; more; ) {
      const request = { method, url: origin + fill(path), params, headers: {}, stream: flags.includes('stream') };
      if (known.token && !flags.includes('bare')) request.headers.Authorization = `Bearer ${known.token}`;
      // fetch refuses to send it.
      if (flags.includes('expect') && stack === 'axios') request.headers.Expect = '100-continue';
      const at = body.indexOf(':');
      bodyOf(body.slice(0, at), body.slice(at + 1), flags, request);
      more = false;
      try {
        const answer = await send(request);
        show(name, answer);
        const record = flags.includes('save') || flags.includes('pages') ? JSON.parse(answer.body) : {};
        if (record.access_token) known.token = record.access_token;
        else if (flags.includes('save')) Object.assign(known, { id: record.id, created_at: record.created_at });
        for (let n = 1; flags.includes('twenty') && n < 20; n++) show(name, await send(request));
        more = Boolean(record.next_page_cursor);
        if (more) params.page_cursor = record.next_page_cursor;
      } catch (error) {
        const said = `${error} ${error.cause ?? ''}`;
        console.log([name, 'error', '-', '-', Buffer.from(said).toString('base64')].join('\t'));
      }
    }
  }
  process.exit(0);
}

main();
