/** enum connect_failure of tcplife.bpf.c: what is no errno. */
export const connectFailures = { ABORTED: 4096, NOT_SENT: 4097 } as const;

/** errnos that a connect fails with, as the kernel numbers them on x86 and arm64. */
export const errnos = {
  EPERM: 1,
  EACCES: 13,
  ENONET: 64,
  EPROTO: 71,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EOPNOTSUPP: 95,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
} as const;

/** enum ending: how a connection ended. */
export const endings = {
  LOCAL_FIN: 1,
  FAR_FIN: 2,
  RESET_SENT: 3,
  RESET_RECEIVED: 4,
  RESET_AFTER_CLOSE: 5,
  TIMED_OUT: 6,
  ERROR: 7,
} as const;

/** enum direction */
export const directions = { sent: 1, received: 2 } as const;

function namesOf(values: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(values).map(([name, value]) => [value, name]));
}

/** Why a connect failed: event.reason, and the label `reason` of the counter. */
export const failureNames = namesOf({ ...errnos, ...connectFailures });

/** event.reason of a connection that is closed, and the label `ending` of the counter. */
export const endingNames = namesOf(endings);

/** The label `direction` of the counter of bytes. */
export const directionNames = namesOf(directions);
