/** What the packages use of the language's library and Node 20 lacks: Map.groupBy of ECMAScript 2024. */

function groupBy<K, V>(items: Iterable<V>, keyOf: (item: V, index: number) => K): Map<K, Array<V>> {
  const groups = new Map<K, Array<V>>()
  let index = 0
  for (const item of items) {
    const key = keyOf(item, index++)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

if (!("groupBy" in Map))
  Object.defineProperty(Map, "groupBy", { value: groupBy, configurable: true, writable: true })
