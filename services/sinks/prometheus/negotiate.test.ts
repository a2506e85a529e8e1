import { expect, test } from 'vitest';
import { acceptsGzip, negotiatedFormat } from './negotiate.ts';

const prometheus =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';

test.each([
  [undefined, 'text'],
  ['', 'text'],
  ['*/*', 'text'],
  ['text/html', 'text'],
  ['text/plain', 'text'],
  ['application/openmetrics-text', 'openmetrics'],
  ['application/openmetrics-text; version="1.0.0"', 'openmetrics'],
  ['application/openmetrics-text;version=2.0.0, text/plain;q=0.1', 'text'],
  ['text/plain;version=0.0.4;q=0.5, application/openmetrics-text;version=1.0.0;q=0.4', 'text'],
  ['text/plain;version=0.0.4;q=0.3, application/openmetrics-text;version=1.0.0;q=0.4', 'openmetrics'],
  ['application/openmetrics-text;q=0', 'text'],
  ['APPLICATION/OPENMETRICS-TEXT', 'openmetrics'],
  ['application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;q=0.5', 'text'],
  [prometheus, 'openmetrics'],
  [';;;=,,q=x', 'text'],
])('Accept %s is answered with %s', (accept, format) => {
  expect(negotiatedFormat(accept)).toBe(format);
});

test.each([
  [undefined, false],
  ['gzip', true],
  ['deflate, gzip;q=0.5', true],
  ['gzip;q=0', false],
  ['identity', false],
])('Accept-Encoding %s takes gzip: %s', (header, expected) => {
  expect(acceptsGzip(header)).toBe(expected);
});
