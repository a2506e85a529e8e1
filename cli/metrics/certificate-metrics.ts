import { certificateExpiries } from '../../core/tls.ts';
import type { MetricSet } from './metric-set.ts';

/** The files of all `tls` sections. */
export function addCertificateMetrics(set: MetricSet): void {
  set.gauge(
    'jitterscope_certificate_expiry_timestamp_seconds',
    'When the certificate in a file ends, of several the first, as Unix time; ca: of the authorities that others are checked against the first that is still valid.',
    ['use', 'file'],
    () => certificateExpiries().map(({ use, file, notAfterMs }) => [{ use, file }, notAfterMs / 1000]),
  );
}
