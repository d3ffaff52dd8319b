/**
 * Reads what `splatlib/widgets/packing.py` writes: Gaussians in columns, quantised. The layout is documented there;
 * both sides' tests hold them together.
 */
export interface PackedInfo {
  count: number;
  sh_degree: number;
  chunk: number;
  log_scale: [number, number]; // value of code 0, step
  color: [number, number];
  sh_steps: number[]; // of degree 1, 2, 3
  differences: boolean; // red and blue are sent as what they differ from green
}

export interface Unpacked {
  count: number;
  shDegree: number;
  /** [4 N]: x, y, z, 0. */
  centers: Float32Array<ArrayBuffer>;
  /** [4 N]: quaternion xyzw as 4 × snorm16, log-scales as 3 × float16. */
  shapes: Uint32Array<ArrayBuffer>;
  /** [4 N]: RGB of degree 0 in steps of `color`, opacity in 1/255. */
  base: Uint8Array<ArrayBuffer>;
  color: [number, number];
  /** [K N] · 3 coefficients in scene order, in steps of `shSteps`. */
  sh: Int8Array<ArrayBuffer>;
  shSteps: Float32Array<ArrayBuffer>; // of each of the K coefficients
  /** [N] three standard deviations along the longest axis. */
  reach: Float32Array<ArrayBuffer>;
}

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** A float16's bits; values that are smaller than its smallest normal number become zero. */
export function toHalf(value: number): number {
  FLOAT[0] = value;
  const bits = BITS[0];
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 255) - 112;
  if (exponent <= 0) return sign;
  if (exponent >= 31) return sign | 0x7c00;
  return (sign | (exponent << 10) | ((bits >>> 13) & 1023)) + ((bits >>> 12) & 1);
}

export function unpack(buffer: ArrayBuffer, info: PackedInfo): Unpacked {
  const { count, chunk, sh_degree: shDegree } = info;
  const chunks = Math.ceil(count / chunk);
  const numBases = (shDegree + 1) ** 2 - 1;
  const expected = 24 * chunks + (6 + 3 + 3 + 1 + 3 + 3 * numBases) * count;
  if (buffer.byteLength !== expected) {
    throw new Error(`the splat's data are damaged: ${buffer.byteLength} bytes instead of ${expected}`);
  }
  let at = 0;
  const part = (bytes: number): number => (at += bytes) - bytes;
  const low = new Float32Array(buffer, part(12 * chunks), 3 * chunks);
  const step = new Float32Array(buffer, part(12 * chunks), 3 * chunks);
  const upper = new Uint8Array(buffer, part(3 * count), 3 * count);
  const lower = new Uint8Array(buffer, part(3 * count), 3 * count);
  const turns = new Int8Array(buffer, part(3 * count), 3 * count);
  const scales = new Uint8Array(buffer, part(3 * count), 3 * count);
  const opacities = new Uint8Array(buffer, part(count), count);
  const colors = new Uint8Array(buffer, part(3 * count), 3 * count);
  const columns = new Int8Array(buffer, part(3 * numBases * count), 3 * numBases * count);
  if (info.differences) {
    addGreen(colors, count);
    for (let k = 0; k < numBases; k++) addGreen(columns.subarray(3 * k * count), count);
  }

  const centers = new Float32Array(4 * count);
  const shapes = new Uint32Array(4 * count);
  const base = new Uint8Array(4 * count);
  const reach = new Float32Array(count);
  const [scaleLow, scaleStep] = info.log_scale;
  const halves = Uint16Array.from({ length: 256 }, (_, code) => toHalf(scaleLow + scaleStep * code));
  const reaches = Float32Array.from({ length: 256 }, (_, code) => 3 * Math.exp(scaleLow + scaleStep * code));
  for (let i = 0; i < count; i++) {
    const c = 3 * Math.floor(i / chunk);
    const [a, b, d] = [scales[i], scales[count + i], scales[2 * count + i]];
    for (let k = 0; k < 3; k++) {
      centers[4 * i + k] = low[c + k] + step[c + k] * (256 * upper[k * count + i] + lower[k * count + i]);
      base[4 * i + k] = colors[k * count + i];
    }
    base[4 * i + 3] = opacities[i];
    unpackTurn(turns[i], turns[count + i], turns[2 * count + i], shapes, 4 * i);
    shapes[4 * i + 2] = halves[a] | (halves[b] << 16);
    shapes[4 * i + 3] = halves[d];
    reach[i] = reaches[Math.max(a, b, d)];
  }
  const shSteps = Float32Array.from({ length: numBases }, (_, k) => info.sh_steps[k < 3 ? 0 : k < 8 ? 1 : 2]);
  return { count, shDegree, centers, shapes, base, color: info.color, sh: byGaussian(columns, count), shSteps, reach };
}

/** Red and blue of three columns from what they differ from green; typed arrays wrap round as the sender's did. */
function addGreen(columns: Uint8Array | Int8Array, count: number): void {
  for (let i = 0; i < count; i++) {
    columns[i] += columns[count + i];
    columns[2 * count + i] += columns[count + i];
  }
}

const TURN_STEP = Math.sin(Math.PI / 8) / 63;

/** From codes of x, y and z; w, the largest, follows. */
function unpackTurn(a: number, b: number, c: number, shapes: Uint32Array, at: number): void {
  const [x, y, z] = [TURN_STEP * a, TURN_STEP * b, TURN_STEP * c];
  const w = Math.sqrt(Math.max(1 - x * x - y * y - z * z, 0));
  shapes[at] = snorm16(x) | (snorm16(y) << 16);
  shapes[at + 1] = snorm16(z) | (snorm16(w) << 16);
}

function snorm16(value: number): number {
  return Math.round(value * 32767) & 0xffff;
}

/** From a column a coefficient to all coefficients of a Gaussian side by side, in blocks that stay in the cache. */
function byGaussian(columns: Int8Array, count: number): Int8Array<ArrayBuffer> {
  const width = count ? columns.length / count : 0;
  const rows = new Int8Array(columns.length);
  const block = 4096;
  for (let begin = 0; begin < count; begin += block) {
    const end = Math.min(begin + block, count);
    for (let k = 0; k < width; k++) {
      const column = k * count;
      for (let i = begin; i < end; i++) rows[i * width + k] = columns[column + i];
    }
  }
  return rows;
}
