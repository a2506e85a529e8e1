// Scrapes a URL every so many ms, until its input ends; one JSON line a scrape: status, bytes and ms.
const [url, intervalMs] = process.argv.slice(2);
const accepts = ['text/plain;version=0.0.4', 'application/openmetrics-text;version=1.0.0'];
let ended = false;
process.stdin.on('end', () => {
  ended = true;
});
process.stdin.resume();
for (let count = 0; !ended; count++) {
  const began = performance.now();
  const headers = { accept: accepts[count % 2], 'accept-encoding': count % 4 < 2 ? 'gzip' : 'identity' };
  const told = await fetch(url, { headers }).then(
    async (response) => {
      const text = await response.text();
      const samples = text
        .split('\n')
        .filter((line) => line.startsWith('jitterscope_netstat') || line.startsWith('jitterscope_snmp')).length;
      return { status: response.status, bytes: text.length, samples, ended: text.endsWith('# EOF\n') === (count % 2 === 1) };
    },
    (error) => ({ status: 0, bytes: 0, samples: 0, ended: false, error: String(error.cause ?? error) }),
  );
  process.stdout.write(`${JSON.stringify({ ...told, ms: performance.now() - began })}\n`);
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, Number(intervalMs) - (performance.now() - began))));
}
