import { errorTable } from '../../../core/app-error.ts';

const waits = 'Events wait in the bus and are sent as soon as it works.';

/** What can go wrong between the sink and Elasticsearch. */
export const elasticsearchError = errorTable({
  ELASTICSEARCH_UNREACHABLE: {
    message: 'no connection to Elasticsearch at {urls}: {cause}',
    retryable: true,
    remedy: `Look whether it runs, and at sinks.elasticsearch.urls. ${waits}`,
  },
  ELASTICSEARCH_TLS: {
    message: 'no trusted connection to Elasticsearch at {urls}: {cause}',
    retryable: false,
    remedy: `Name the authority of its certificate in sinks.elasticsearch.tls.ca, and its name in tls.serverName; an alert is its own, about the certificate in tls.cert. ${waits}`,
  },
  ELASTICSEARCH_TIMEOUT: {
    message: 'Elasticsearch did not answer within {seconds} s',
    retryable: true,
    remedy: `It is overloaded or frozen: look at its log and its disks. Events are sent again; none is stored twice.`,
  },
  ELASTICSEARCH_OVERLOADED: {
    message: 'Elasticsearch takes no more for now: {status} {reason}',
    retryable: true,
    remedy: `Give it more heap, nodes or disk, where it stays so. ${waits}`,
  },
  ELASTICSEARCH_FAILED: {
    message: 'Elasticsearch failed: {status} {reason}',
    retryable: true,
    remedy: `Look at the log of Elasticsearch. ${waits}`,
  },
  ELASTICSEARCH_ANSWER_UNKNOWN: {
    message: 'what answers at {urls} is not what Elasticsearch answers: {found}',
    retryable: true,
    remedy: `Look at proxies between here and Elasticsearch. Events are sent again; none is stored twice.`,
  },
  ELASTICSEARCH_OTHER_PRODUCT: {
    message: 'what answers at {urls} is not Elasticsearch 8 or 9: it does not name itself so',
    retryable: false,
    remedy: `Set sinks.elasticsearch.urls to an Elasticsearch; OpenSearch is another product. ${waits}`,
  },
  ELASTICSEARCH_DENIED: {
    message: 'Elasticsearch does not permit it: {status} {reason}',
    retryable: false,
    remedy: `Check sinks.elasticsearch.credentials; the user needs the index privileges create_doc and auto_configure. ${waits}`,
  },
  ELASTICSEARCH_OPERATOR_NEEDED: {
    message: 'Elasticsearch cannot take events until somebody mends it: {status} {reason}',
    retryable: false,
    remedy: `Mend what it names: a closed or missing index, its limit of shards, sinks.elasticsearch.index. ${waits}`,
  },
  ELASTICSEARCH_EVENT_REFUSED: {
    message: 'Elasticsearch does not take this event: {status} {reason}',
    retryable: false,
    remedy: 'Mend the mapping that it names, then `jitterscope dlq replay`.',
  },
  ELASTICSEARCH_TOO_LARGE: {
    message: 'one event is more than Elasticsearch or a proxy in front of it takes in a request: 413',
    retryable: false,
    remedy: 'Raise its http.max_content_length, then `jitterscope dlq replay`.',
  },
  ELASTICSEARCH_ID_INVALID: {
    message: 'the event has an id that is none: found {found}, expected up to 512 letters, digits, - and _',
    retryable: false,
    remedy: 'Nothing of jitterscope writes such an event: look at who else writes to the topic of events.',
  },
  ELASTICSEARCH_TEMPLATE_UNREADABLE: {
    message: 'Elasticsearch does not permit to read its index templates: {status} {reason}',
    retryable: false,
    remedy:
      'Grant the cluster privilege monitor (sinks.elasticsearch.templates: check) or manage_index_templates (install), or set it to off: then nobody looks whether deploy/elasticsearch/templates.console is installed. Events wait in the bus.',
  },
  ELASTICSEARCH_TEMPLATE_DENIED: {
    message: 'Elasticsearch does not permit to {action}: {status} {reason}',
    retryable: false,
    remedy:
      'Grant the cluster privileges manage_index_templates and, where it has index lifecycle management, manage_ilm; or let somebody else install deploy/elasticsearch/templates.console and set sinks.elasticsearch.templates to check, which needs monitor, or to off, which needs none. Events wait in the bus.',
  },
  ELASTICSEARCH_TEMPLATE_MISSING: {
    message: 'the index template {template} is {found}, expected version {expected}',
    retryable: false,
    remedy:
      'Install deploy/elasticsearch/templates.console of this version, or set sinks.elasticsearch.templates to install. Events wait in the bus.',
  },
  ELASTICSEARCH_TEMPLATE_SHADOWED: {
    message: 'a new index {index} would map {field} as {found}, expected {expected}',
    retryable: false,
    remedy:
      'Another index template covers this name: give it a priority below {priority}, or set sinks.elasticsearch.index to another name. Events wait in the bus.',
  },
});
