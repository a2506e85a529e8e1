/** How a field is stored: Elasticsearch's mapping type. */
export type FieldType = 'date_nanos' | 'keyword' | 'text' | 'ip' | 'long' | 'double' | 'boolean' | 'flattened';

/** One field of the event document. */
export interface EventField {
  /** Dotted path in the nested document; `[]` marks an array. */
  readonly path: string;
  readonly type: FieldType;
  /** Meaning, with unit where there is one. */
  readonly description: string;
  /** Findings have it, events never do. */
  readonly findingsOnly?: true;
}

/** Version of the event document, in `jitterscope.schema`. */
export const eventSchemaVersion = 1;

/** Version of the Elastic Common Schema whose names are used, in `ecs.version`. */
export const ecsVersion = '8.17.0';

/** Who somebody is in Kubernetes: the same fields for the event and for its two ends. */
function kubernetesFields(at: string, whose: string): EventField[] {
  return [
    { path: `${at}kubernetes.namespace`, type: 'keyword', description: `Kubernetes namespace of ${whose}.` },
    { path: `${at}kubernetes.pod.name`, type: 'keyword', description: `Name of the Pod that is ${whose}, at the time of the event.` },
    {
      path: `${at}kubernetes.pod.uid`,
      type: 'keyword',
      description: 'metadata.uid of that Pod: tells it from another one of the same name.',
    },
    { path: `${at}kubernetes.node.name`, type: 'keyword', description: `Node of ${whose}; without a Pod: it is the node itself.` },
  ];
}

/**
 * All fields, in the order in which they stand in the document. A document has no nulls and no empty objects:
 * what is not known is not there.
 */
export const eventFields: readonly EventField[] = [
  { path: '@timestamp', type: 'date_nanos', description: 'When it happened: wall time with 9 digits.' },
  { path: 'message', type: 'text', description: 'One sentence for people. Nothing has to be parsed from it.' },
  { path: 'log.level', type: 'keyword', description: 'Severity word: info, warning, critical.' },
  { path: 'ecs.version', type: 'keyword', description: 'Version of the Elastic Common Schema.' },
  { path: 'event.kind', type: 'keyword', description: 'event (a kernel event) or alert (a finding).' },
  { path: 'event.category[]', type: 'keyword', description: 'ECS category: network.' },
  {
    path: 'event.type[]',
    type: 'keyword',
    description: 'ECS types: connection, denied, end, error, info; of a finding error, start, change, end.',
  },
  {
    path: 'event.action',
    type: 'keyword',
    description:
      'What happened: reset-sent, reset-received, retransmit, packet-dropped, connect-failed, connect-slow, connection-closed, accept-queue, accept-slow. Of a finding: anomaly-opened, anomaly-updated, anomaly-resolved.',
  },
  {
    path: 'event.reason',
    type: 'keyword',
    description:
      'Why. A reset or a dropped packet: the name the running kernel has for it (enum sk_rst_reason, skb_drop_reason). A retransmit: its kind. A failed connect: the name of its errno, ABORTED or NOT_SENT. A closed connection: how it ended. An accept queue: FILLING, STALLED or FULL. Of a finding that ended: CONDITION_ENDED, NO_DATA, ENTITY_GONE or RULE_CHANGED.',
  },
  {
    path: 'event.id',
    type: 'keyword',
    description:
      'Unique id: 16 hex digits of node and session, "-", item number. Of a finding: its anomaly id, "-", number of the transition.',
  },
  { path: 'event.severity', type: 'long', description: '1 info, 2 warning, 3 critical.' },
  {
    path: 'event.start',
    type: 'date_nanos',
    description: 'Of a finding: the first second in which its condition held. It never changes.',
    findingsOnly: true,
  },
  { path: 'event.end', type: 'date_nanos', description: 'Of a finding that ended: when.', findingsOnly: true },
  { path: 'rule.id', type: 'keyword', description: 'Rule of the finding.', findingsOnly: true },
  { path: 'rule.name', type: 'keyword', description: 'Title of the rule.', findingsOnly: true },
  { path: 'rule.description', type: 'text', description: 'What it means when the rule fires.', findingsOnly: true },
  { path: 'rule.reference', type: 'keyword', description: 'Runbook of the rule.', findingsOnly: true },
  { path: 'rule.version', type: 'keyword', description: 'Version of the rule: a hash of what it says.', findingsOnly: true },
  {
    path: 'source.ip',
    type: 'ip',
    description: 'Address of the local end: the entity the event is about. Of a forwarded packet: who sent it.',
  },
  { path: 'source.port', type: 'long', description: 'Port of the local end.' },
  ...kubernetesFields('source.', 'the local end'),
  { path: 'destination.ip', type: 'ip', description: 'Address of the far end, as the socket used it: maybe that of a Service.' },
  { path: 'destination.port', type: 'long', description: 'Port of the far end, as the socket used it.' },
  { path: 'destination.nat.ip', type: 'ip', description: 'Address of the far end behind a translation (ClusterIP, NodePort, DNAT, SNAT).' },
  { path: 'destination.nat.port', type: 'long', description: 'Port of the far end behind a translation.' },
  ...kubernetesFields('destination.', 'the far end'),
  {
    path: 'network.type',
    type: 'keyword',
    description: 'ipv4 or ipv6, of the packet; arp, lldp or an EtherType (0x88f7) without an IP header.',
  },
  { path: 'network.transport', type: 'keyword', description: 'tcp, udp, icmp, sctp.' },
  { path: 'network.direction', type: 'keyword', description: 'Way of the packet, seen from the local end: egress or ingress.' },
  { path: 'process.pid', type: 'long', description: "Owner of the local end's socket." },
  { path: 'process.name', type: 'keyword', description: "Task name of the socket's owner, as the kernel has it (15 bytes)." },
  { path: 'host.name', type: 'keyword', description: 'Node.' },
  { path: 'orchestrator.type', type: 'keyword', description: 'kubernetes, on a node whose container runtime has told Pods.' },
  { path: 'orchestrator.cluster.name', type: 'keyword', description: 'Cluster, from the configuration.' },
  ...kubernetesFields('', 'the entity that the event is about: the local end'),
  { path: 'container.id', type: 'keyword', description: 'Container whose process made the socket, where its cgroup tells it.' },
  { path: 'container.name', type: 'keyword', description: "Name of that container; absent for a Pod's sandbox." },
  { path: 'jitterscope.schema', type: 'long', description: 'Version of this document.' },
  { path: 'jitterscope.type', type: 'keyword', description: 'Kind of event: the probe, or the rule of a finding.' },
  { path: 'jitterscope.probe', type: 'keyword', description: 'Probe that saw it. Absent in findings.' },
  {
    path: 'jitterscope.values.*',
    type: 'double',
    description: "Of a finding: its rule's signals by name, with their units; a signal without data is absent. Of an event: those below.",
    findingsOnly: true,
  },
  { path: 'jitterscope.values.srtt_us', type: 'long', description: 'Smoothed round-trip time of the connection, microseconds.' },
  { path: 'jitterscope.values.cwnd_segments', type: 'long', description: 'Congestion window of the connection, segments.' },
  {
    path: 'jitterscope.values.segments',
    type: 'long',
    description: 'TCP segments: of a retransmit those sent again, of a dropped packet those it holds (absent for one).',
  },
  { path: 'jitterscope.values.retransmits', type: 'long', description: 'Which retransmit it is, in a row, of what waits for an answer.' },
  { path: 'jitterscope.values.total_segments', type: 'long', description: 'Segments that the connection has sent again so far.' },
  { path: 'jitterscope.values.unacked_segments', type: 'long', description: 'Segments of the connection that wait for an ACK.' },
  {
    path: 'jitterscope.values.accept_queue_connections',
    type: 'long',
    description: 'Connections of the listening socket that wait for accept().',
  },
  {
    path: 'jitterscope.values.accept_queue_max_connections',
    type: 'long',
    description: 'Connections that may wait for accept() before more are refused: one more than that fits.',
  },
  {
    path: 'jitterscope.values.errno',
    type: 'long',
    description: 'Why this host did not send the packet, or the error that the application got. Absent when there is none.',
  },
  {
    path: 'jitterscope.values.queue_dropped',
    type: 'long',
    description: "1: a queue of this host's interface dropped the packet. Absent otherwise.",
  },
  { path: 'jitterscope.values.length_bytes', type: 'long', description: 'Length of the dropped packet from its network header on.' },
  { path: 'jitterscope.values.fragment_offset_bytes', type: 'long', description: 'Where a dropped later fragment begins in its datagram.' },
  {
    path: 'jitterscope.values.connect_us',
    type: 'long',
    description: 'Time from connect() to the connection or its failure, microseconds.',
  },
  { path: 'jitterscope.values.syn_retransmits', type: 'long', description: 'How often the SYN was sent again.' },
  {
    path: 'jitterscope.values.duration_us',
    type: 'long',
    description: 'Time from the establishment of the connection to its end, microseconds.',
  },
  { path: 'jitterscope.values.sent_bytes', type: 'long', description: 'Bytes of the application that the far end acknowledged.' },
  { path: 'jitterscope.values.received_bytes', type: 'long', description: 'Bytes received for the application.' },
  { path: 'jitterscope.values.sent_segments', type: 'long', description: 'Segments sent, those sent again included.' },
  { path: 'jitterscope.values.received_segments', type: 'long', description: 'Segments received.' },
  { path: 'jitterscope.values.retransmitted_segments', type: 'long', description: 'Segments of the connection that were sent again.' },
  {
    path: 'jitterscope.values.oldest_wait_us',
    type: 'long',
    description: 'How long the oldest connection in the accept queue has waited, microseconds.',
  },
  {
    path: 'jitterscope.values.listener_drops',
    type: 'long',
    description: 'SYNs and connections that the listening socket has dropped since it listens.',
  },
  {
    path: 'jitterscope.values.accept_wait_us',
    type: 'long',
    description: 'Time from the establishment of the connection to accept(), microseconds.',
  },
  {
    path: 'jitterscope.by.*',
    type: 'keyword',
    description:
      'Of a finding: the worst group of a signal that has groups (a port, a reason), by signal; of one that groups by several together each part: worst_peer.',
    findingsOnly: true,
  },
  { path: 'jitterscope.evidence[].text', type: 'text', description: 'What speaks for or against the finding.', findingsOnly: true },
  { path: 'jitterscope.evidence[].weight', type: 'double', description: 'What it adds to the confidence.', findingsOnly: true },
  {
    path: 'jitterscope.confidence',
    type: 'double',
    description: 'How sure the finding is, 0 to 1. Records that were lost in its window lower it.',
    findingsOnly: true,
  },
  { path: 'jitterscope.anomaly.id', type: 'keyword', description: 'The finding: the same for all documents of it.', findingsOnly: true },
  {
    path: 'jitterscope.anomaly.transition',
    type: 'long',
    description: 'Number of the document in the life of the finding, from 1.',
    findingsOnly: true,
  },
  {
    path: 'jitterscope.anomaly.caused_by[]',
    type: 'keyword',
    description: 'Rules whose finding on the same entity or its node explains this one.',
    findingsOnly: true,
  },
  {
    path: 'jitterscope.anomaly.samples[]',
    type: 'keyword',
    description: 'event.id of up to five events that it is about, the newest last.',
    findingsOnly: true,
  },
  {
    path: 'jitterscope.peers[].name',
    type: 'keyword',
    description: 'Far ends that its events name most often, as people call them.',
    findingsOnly: true,
  },
  { path: 'jitterscope.peers[].ip', type: 'ip', description: 'Address of that far end.', findingsOnly: true },
  { path: 'jitterscope.peers[].count', type: 'long', description: 'Records with it.', findingsOnly: true },
  {
    path: 'jitterscope.peers[].kubernetes.namespace',
    type: 'keyword',
    description: 'Kubernetes namespace of that far end.',
    findingsOnly: true,
  },
  {
    path: 'jitterscope.peers[].kubernetes.pod.name',
    type: 'keyword',
    description: 'Name of the Pod that is that far end.',
    findingsOnly: true,
  },
  { path: 'jitterscope.peers[].kubernetes.pod.uid', type: 'keyword', description: 'metadata.uid of that Pod.', findingsOnly: true },
  {
    path: 'jitterscope.drop.site',
    type: 'keyword',
    description: 'Kernel function that dropped the packet; _stext+0x… where its name is not known.',
  },
  { path: 'jitterscope.drop.interface', type: 'keyword', description: 'Interface at which the packet was.' },
  {
    path: 'jitterscope.drop.packet_type',
    type: 'keyword',
    description: 'host, broadcast, multicast, otherhost, outgoing, loopback: whom the link carried it to.',
  },
  { path: 'jitterscope.drop.tcp_flags[]', type: 'keyword', description: 'Flags of the dropped TCP segment: SYN, ACK.' },
  {
    path: 'jitterscope.drop.stack[]',
    type: 'keyword',
    description: 'Kernel functions that led to the drop, innermost first, up to the soft interrupt that it happened in.',
  },
  {
    path: 'jitterscope.role',
    type: 'keyword',
    description: 'client or server: whether the local end opened the connection. Absent when unknown.',
  },
  { path: 'jitterscope.tcp.state', type: 'keyword', description: "State of the local end's socket." },
  { path: 'jitterscope.socket.cookie', type: 'long', description: 'Kernel cookie of the socket: joins the events of one connection.' },
  { path: 'jitterscope.socket.v4mapped', type: 'boolean', description: 'true: IPv4 over an IPv6 socket.' },
  { path: 'jitterscope.cgroup.id', type: 'long', description: 'cgroup v2 id of the socket.' },
  { path: 'jitterscope.netns.name', type: 'keyword', description: 'Network namespace of the entity, by its /run/netns name.' },
  { path: 'jitterscope.netns.cookie', type: 'long', description: 'Kernel cookie of that namespace; never reused while the kernel runs.' },
  { path: 'jitterscope.netns.inode', type: 'long', description: 'Inode of that namespace, as in /proc/<pid>/ns/net.' },
  {
    path: 'jitterscope.partition',
    type: 'keyword',
    description: 'Of a finding about the pipeline itself: the raw partition.',
    findingsOnly: true,
  },
  {
    path: 'jitterscope.peer.netns.name',
    type: 'keyword',
    description: 'Network namespace of the far end, when it is another one of the same node.',
  },
  { path: 'jitterscope.peer.netns.cookie', type: 'long', description: 'Kernel cookie of that namespace.' },
  { path: 'jitterscope.peer.netns.inode', type: 'long', description: 'Inode of that namespace.' },
  {
    path: 'jitterscope.identity.source',
    type: 'keyword',
    description:
      'How the local end was found: cgroup (the container that made the socket), netns (its network namespace), node (the namespace of the node), ambiguous (several may have had it), unknown.',
  },
  {
    path: 'jitterscope.identity.destination',
    type: 'keyword',
    description:
      'How the far end was found: same (the same network namespace), ip (who held the address then), nat (who held the translated one), node (an address of the node), external (nobody of this node), ambiguous (several may have held it), unknown (link-local, or a packet without an address).',
  },
  { path: 'jitterscope.suppressed', type: 'long', description: 'Events like it that the token bucket withheld since the one before.' },
];
