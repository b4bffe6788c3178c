/** Selection without sorting: what finds a threshold leaves cutting at it to the caller. */

/**
 * The k-th largest of the first `count` values, by a min-heap of the k largest so far: most values lose one
 * comparison against the heap's root and are done.
 * @param heap scratch of at least `k` numbers
 * @param k 1 to `count`
 */
export function kthLargest(values: Float32Array, count: number, k: number, heap: Float32Array): number {
  for (let i = 0; i < k; i++) heap[i] = values[i] as number;
  for (let root = (k >> 1) - 1; root >= 0; root--) siftDown(heap, k, root);
  let least = heap[0] as number;
  for (let i = k; i < count; i++) {
    const value = values[i] as number;
    if (value > least) {
      heap[0] = value;
      siftDown(heap, k, 0);
      least = heap[0] as number;
    }
  }
  return least;
}

function siftDown(heap: Float32Array, size: number, from: number): void {
  const value = heap[from] as number;
  let hole = from;
  for (;;) {
    let child = 2 * hole + 1;
    if (child >= size) break;
    if (child + 1 < size && (heap[child + 1] as number) < (heap[child] as number)) child++;
    if ((heap[child] as number) >= value) break;
    heap[hole] = heap[child] as number;
    hole = child;
  }
  heap[hole] = value;
}

/**
 * The largest threshold such that the values at or above it add up to at least `mass`: a quickselect that follows
 * the sum instead of the rank, with three-way partitions so that ties cost nothing. Expected linear time.
 * @param values the first `count` are permuted; none negative
 * @param count at least 1
 */
export function massThreshold(values: Float64Array, count: number, mass: number): number {
  let low = 0;
  let high = count - 1;
  let wanted = mass;
  let pivot = values[0] as number;
  while (low <= high) {
    pivot = medianOfThree(values[low] as number, values[(low + high) >>> 1] as number, values[high] as number);
    let above = 0;
    let equal = 0;
    let firstEqual = low;
    let afterEqual = high;
    for (let i = low; i <= afterEqual; ) {
      const value = values[i] as number;
      if (value > pivot) {
        above += value;
        values[i++] = values[firstEqual] as number;
        values[firstEqual++] = value;
      } else if (value < pivot) {
        values[i] = values[afterEqual] as number;
        values[afterEqual--] = value;
      } else {
        equal += value;
        i++;
      }
    }
    if (above >= wanted) high = firstEqual - 1;
    else if (above + equal >= wanted) return pivot;
    else {
      wanted -= above + equal;
      low = afterEqual + 1;
    }
  }
  // Rounding alone can leave a little mass wanted after the smallest value: then all of them are needed.
  return pivot;
}

export function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
