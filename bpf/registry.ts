import { packetloss } from './packetloss/probe.ts';
import type { Probe } from './probe.ts';
import { tcpaccept } from './tcpaccept/probe.ts';
import { tcplife } from './tcplife/probe.ts';
import { tcpreset } from './tcpreset/probe.ts';
import { tcpretrans } from './tcpretrans/probe.ts';

/** All probes: one line each. */
export const probes: readonly Probe[] = [tcpreset, tcpretrans, packetloss, tcplife, tcpaccept];
