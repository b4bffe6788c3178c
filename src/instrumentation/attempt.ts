/** Looks at what is not ours; a getter that throws, or a shape nobody foresaw, costs attributes and nothing else. */
export function attempt<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}
