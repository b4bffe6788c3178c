import { medianOfThree } from "./select.js";

/**
 * The smallest key such that the masses of the keys up to it add up to at least `mass`: a quickselect that follows the
 * sum instead of the rank. Expected linear time.
 * @param keys the first `count` are permuted, together with `masses`
 * @param count at least 1
 */
export function nearestMass(keys: Float64Array, masses: Float64Array, count: number, mass: number): number {
  let low = 0;
  let high = count - 1;
  let wanted = mass;
  let pivot = keys[0] as number;
  while (low <= high) {
    pivot = medianOfThree(keys[low] as number, keys[(low + high) >>> 1] as number, keys[high] as number);
    let nearer = 0;
    let equal = 0;
    let firstEqual = low;
    let afterEqual = high;
    for (let i = low; i <= afterEqual; ) {
      const key = keys[i] as number;
      if (key < pivot) {
        nearer += masses[i] as number;
        swap(keys, masses, i++, firstEqual++);
      } else if (key > pivot) {
        swap(keys, masses, i, afterEqual--);
      } else {
        equal += masses[i++] as number;
      }
    }
    if (nearer >= wanted) high = firstEqual - 1;
    else if (nearer + equal >= wanted) return pivot;
    else {
      wanted -= nearer + equal;
      low = afterEqual + 1;
    }
  }
  // Rounding alone can leave a little mass wanted after the largest key: then all of them are needed.
  return pivot;
}

function swap(keys: Float64Array, masses: Float64Array, one: number, other: number): void {
  const key = keys[one] as number;
  const mass = masses[one] as number;
  keys[one] = keys[other] as number;
  masses[one] = masses[other] as number;
  keys[other] = key;
  masses[other] = mass;
}
