/** What is known already where the same was told again, as each keyframe does: what is cached by it stays good. */
export function unlessSame<T extends object>(known: T | undefined, told: T): T {
  return known !== undefined && JSON.stringify(known) === JSON.stringify(told) ? known : told;
}
