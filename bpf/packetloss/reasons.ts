/** Kernel enumerations that name reasons. */
export const dropReasons = 'skb_drop_reason';
export const dropSubsystems = 'skb_drop_reason_subsys';

/** A subsystem numbers its own reasons below this; which subsystem it is stands above (include/net/dropreason.h). */
const subsystemUnit = 0x1_0000;

/**
 * Name of a reason: NETFILTER_DROP; of a subsystem's own OPENVSWITCH_3; the number where the kernel has no name for it.
 * @param enumName looks a value up in an enumeration of the record's node
 */
export function reasonName(reason: number, enumName: (enumeration: string, value: number) => string | undefined): string {
  if (reason < subsystemUnit) return enumName(dropReasons, reason) ?? String(reason);
  const subsystem = Math.floor(reason / subsystemUnit);
  return `${enumName(dropSubsystems, subsystem) ?? subsystem}_${reason % subsystemUnit}`;
}
