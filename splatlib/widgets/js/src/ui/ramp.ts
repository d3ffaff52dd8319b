/** Colours for numbers: dark blue for little, over green, to yellow for much (stations of matplotlib's viridis). */
type Rgb = [number, number, number];
const STATIONS: Rgb[] = [
  [0.267, 0.005, 0.329], [0.283, 0.141, 0.458], [0.254, 0.265, 0.53], [0.207, 0.372, 0.553], [0.164, 0.471, 0.558],
  [0.128, 0.567, 0.551], [0.135, 0.659, 0.518], [0.267, 0.749, 0.441], [0.478, 0.821, 0.318], [0.741, 0.873, 0.15],
  [0.993, 0.906, 0.144],
];

/** @param share 0…1; beyond is cut. */
export function ramp(share: number): Rgb {
  const at = Math.max(0, Math.min(1, share || 0)) * (STATIONS.length - 1);
  const k = Math.min(STATIONS.length - 2, Math.floor(at));
  return STATIONS[k].map((value, c) => value + (STATIONS[k + 1][c] - value) * (at - k)) as Rgb;
}

/** For a legend's background. */
export const rampCss = `linear-gradient(90deg, ${STATIONS.map((s) => `rgb(${s.map((v) => Math.round(255 * v)).join(" ")})`).join(", ")})`;
