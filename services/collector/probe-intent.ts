/** What an operator wants of one probe. Targets are Pods (shop/web-0), or names of network namespaces, which hold no slash. */
export type ProbeIntent =
  | { readonly mode: 'off' | 'all' }
  /** listed: these and no others; unlisted: all but these. */
  | { readonly mode: 'listed' | 'unlisted'; readonly targets: readonly string[] };

/** What an operator asks for: all of a probe on or off, or what it makes of one target. */
export interface ProbeOrder {
  readonly enable: boolean;
  readonly target?: string;
}

/**
 * What is wanted after an order. To enable a probe for a target means for it only, beside others that were asked for in
 * the same way; to disable it for a target leaves that one out. The last target that goes turns the probe off.
 */
export function afterOrder(intent: ProbeIntent, { enable, target }: ProbeOrder): ProbeIntent {
  if (target === undefined) return { mode: enable ? 'all' : 'off' };
  const targets = targetsOf(intent);
  const others = targets.filter((one) => one !== target);
  switch (intent.mode) {
    case 'listed':
      return enable ? { mode: 'listed', targets: [...others, target] } : withTargets('listed', others);
    case 'unlisted':
      if (!enable) return { mode: 'unlisted', targets: [...others, target] };
      return others.length < targets.length ? withTargets('unlisted', others) : { mode: 'listed', targets: [target] };
    case 'all':
      return { mode: enable ? 'listed' : 'unlisted', targets: [target] };
    case 'off':
      return enable ? { mode: 'listed', targets: [target] } : intent;
  }
}

/** Targets that an intent names. */
export function targetsOf(intent: ProbeIntent): readonly string[] {
  return 'targets' in intent ? intent.targets : [];
}

function withTargets(mode: 'listed' | 'unlisted', targets: readonly string[]): ProbeIntent {
  if (targets.length > 0) return { mode, targets };
  return { mode: mode === 'listed' ? 'off' : 'all' };
}
