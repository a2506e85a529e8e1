import { counters, type FieldRows, gauges } from './row.ts';

/** Findings that are open now, by rule, severity and whom they are about. */
export const anomalyRows: FieldRows = gauges({ active: 'Findings of the rule about the Pod, namespace or node that are open, 1 each.' });

/** Findings by rule and severity, as they were opened. */
export const anomaliesRows: FieldRows = counters({ opened: 'Findings that were opened.' });
