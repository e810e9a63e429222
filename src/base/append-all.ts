/**
 * Adds all items at the end of a list. `list.push(...items)` puts every item on the stack, which some hundred thousand
 * overflow: a client that makes a list so long would end the thread.
 */
export function appendAll<T>(list: T[], items: Iterable<T>): void {
  for (const item of items) list.push(item);
}
