import { errorTable } from '../../../core/app-error.ts';

/** What can go wrong between the sink and Loki. */
export const lokiError = errorTable({
  LOKI_UNREACHABLE: {
    message: 'Loki at {url} cannot be reached: {cause}',
    retryable: true,
    remedy: 'Start Loki, or correct sinks.loki.url. Events wait in the bus and are sent as soon as it answers.',
  },
  LOKI_TLS: {
    message: 'no TLS connection to Loki at {url}: {cause}',
    retryable: false,
    remedy: 'Check sinks.loki.tls: the authority (ca), the certificate and key, serverName. Events wait in the bus.',
  },
  LOKI_WITH_TLS: {
    message: 'what answers at {url} speaks TLS, and was spoken to without',
    retryable: false,
    remedy: 'Write https:// in sinks.loki.url, and its authority into sinks.loki.tls.ca. Events wait in the bus.',
  },
  LOKI_NO_ANSWER: {
    message: 'Loki at {url} did not answer: {cause}',
    retryable: true,
    remedy: 'Look at its log and load, and at proxies before it. What it had stored by then is looked up before anything is sent again.',
  },
  LOKI_FAILED: {
    message: 'Loki at {url} answered {status}: {answer}',
    retryable: true,
    remedy: 'Look at its log. What it had stored by then is looked up before anything is sent again.',
  },
  LOKI_BUSY: {
    message: 'Loki takes no more for now (429): {answer}',
    retryable: true,
    remedy:
      'Raise ingestion_rate_mb, ingestion_burst_size_mb, per_stream_rate_limit or max_global_streams_per_user of the tenant, whichever the answer names. Events wait in the bus.',
  },
  LOKI_TOO_LARGE: {
    message: 'Loki refuses {bytes} bytes in one push: {answer}',
    retryable: true,
    remedy: 'Nothing: smaller pushes are tried. To begin with them, lower sinks.loki.maxPushSize.',
  },
  LOKI_BLOCKED: {
    message: 'Loki takes nothing from this tenant now (status {status}): {answer}',
    retryable: false,
    remedy: 'Its operator has set block_ingestion_until. Events wait in the bus; it is asked again every half minute.',
  },
  LOKI_DENIED: {
    message: 'Loki at {url} denies the push ({status}): {answer}',
    retryable: false,
    remedy: 'Check sinks.loki.credentials and sinks.loki.tenantId. Events wait in the bus.',
  },
  LOKI_NOT_FOUND: {
    message: 'there is no Loki at {url} ({status}): {answer}',
    retryable: false,
    remedy: 'Correct sinks.loki.url: the address without /loki/api/v1/push. Events wait in the bus.',
  },
  LOKI_UNEXPECTED_STATUS: {
    message: 'Loki at {url} answered {status}, expected 204: {answer}',
    retryable: false,
    remedy: 'Check what answers at sinks.loki.url: a proxy, a redirect, another server? Events wait in the bus.',
  },
  LOKI_METADATA_DISALLOWED: {
    message: 'this tenant of Loki may not send structured metadata: {answer}',
    retryable: false,
    remedy: 'Set limits_config.allow_structured_metadata: true in Loki (schema v13 or newer). Events wait in the bus.',
  },
  LOKI_LABELS_REFUSED: {
    message: 'this tenant of Loki may not have the labels of a stream: {answer}',
    retryable: false,
    remedy:
      'Raise the limit of the tenant that the answer names (max_label_names_per_series: 5 at least; max_label_value_length), or take away enforced_labels. Events wait in the bus; it is tried every half minute.',
  },
  LOKI_PUSH_UNREADABLE: {
    message: 'Loki cannot read a push: {answer}',
    retryable: true,
    remedy: 'Smaller pushes are tried, down to the one event. Should it persist, set sinks.loki.encoding to json and report it.',
  },
  LOKI_LINE_TOO_LONG: {
    message: 'the event has {found} bytes, expected at most {limit}',
    retryable: false,
    remedy: 'Raise max_line_size of the tenant and sinks.loki.maxLineSize, then replay it from the dead letters.',
  },
  LOKI_TOO_OLD: {
    message: 'the event is of {found}, expected not before {limit}',
    retryable: false,
    remedy: 'Raise reject_old_samples_max_age of the tenant and sinks.loki.maxAge, then replay it from the dead letters.',
  },
  LOKI_TOO_NEW: {
    message: 'the event is of {found}, expected not after {limit}',
    retryable: false,
    remedy: 'Set the clock of its node. Once its time has come it can be replayed from the dead letters.',
  },
  LOKI_TOO_FAR_BEHIND: {
    message: 'the event is too far behind its stream: {answer}',
    retryable: true,
    remedy: 'Nothing: it is sent to the backfill stream of its node.',
  },
  LOKI_BACKFILL_TOO_FAR_BEHIND: {
    message: 'the event is too far behind what its node has backfilled: {answer}',
    retryable: false,
    remedy: 'Raise max_chunk_age of the ingesters, or replay it from the dead letters once the stream was idle for a while.',
  },
  LOKI_REFUSED: {
    message: 'Loki refuses the event: {answer}',
    retryable: false,
    remedy: 'Raise the limit of the tenant that the answer names, then replay it from the dead letters.',
  },
  LOKI_MAY_NOT_BE_ASKED: {
    message: 'Loki does not let this client query ({status}): {answer}',
    retryable: false,
    remedy:
      'Let it read what it writes, 5000 entries at once (max_entries_limit_per_query of the tenant). Until then events whose outcome is unknown are sent again, and counted as possibly stored twice. To say that this is so, set sinks.loki.readBack: false.',
  },
  LOKI_QUERY_REDIRECTED: {
    message: 'queries to Loki at {url} are sent elsewhere ({status}): {answer}',
    retryable: false,
    remedy:
      'Correct sinks.loki.url, or its credentials: a proxy redirects to a log-in or to another address. Events wait in the bus. To do without queries, set sinks.loki.readBack: false.',
  },
  LOKI_QUERY_UNAUTHENTICATED: {
    message: 'Loki at {url} takes the credentials of a query for none ({status}): {answer}',
    retryable: false,
    remedy:
      'Check sinks.loki.credentials: a token may have expired. Events wait in the bus. Where pushes are taken and queries are not, for good, set sinks.loki.readBack: false.',
  },
  LOKI_QUERY_FAILED: {
    message: 'Loki could not say what it holds: {answer}',
    retryable: true,
    remedy: 'Look at its log. Nothing is sent again until it says what it holds.',
  },
});
