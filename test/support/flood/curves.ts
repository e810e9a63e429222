/** Curves over time as SVG, one below the other, each with a scale of its own that begins at zero. */

export interface Curve {
  name: string;
  unit: string;
  /** One a second. */
  values: readonly number[];
}

const WIDTH = 900;
const HEIGHT = 160;
const LEFT = 70;
const GAP = 50;

/** @param loadedSeconds a line stands where the load ends */
export function drawCurves(title: string, curves: readonly Curve[], loadedSeconds: number): string {
  const seconds = Math.max(1, ...curves.map(({ values }) => values.length - 1));
  const x = (second: number) => (LEFT + (second / seconds) * WIDTH).toFixed(1);
  const height = curves.length * (HEIGHT + GAP) + GAP;
  const parts = curves.flatMap(({ name, unit, values }, index) => {
    const top = GAP + index * (HEIGHT + GAP);
    const most = Math.max(1, ...values) * 1.1;
    const y = (value: number) => (top + HEIGHT - (value / most) * HEIGHT).toFixed(1);
    const points = values.map((value, second) => `${x(second)},${y(value)}`).join(' ');
    const scale = [0, 0.5, 1].map((share) => {
      const value = most * share;
      const shown = value >= 100 ? value.toFixed(0) : value.toFixed(1);
      return (
        `<line x1="${LEFT}" x2="${LEFT + WIDTH}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>` +
        `<text x="${LEFT - 6}" y="${y(value)}" text-anchor="end" dominant-baseline="middle">${shown}</text>`
      );
    });
    return [
      `<text x="${LEFT}" y="${top - 8}">${name}${unit === '' ? '' : `, ${unit}`}</text>`,
      ...scale,
      `<line x1="${x(loadedSeconds)}" x2="${x(loadedSeconds)}" y1="${top}" y2="${top + HEIGHT}" stroke="#999" stroke-dasharray="4"/>`,
      `<polyline points="${points}" fill="none" stroke="#06c" stroke-width="1.5"/>`,
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 20}" height="${height + 20}" font-family="sans-serif" font-size="12">`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    `<text x="${LEFT}" y="20" font-size="15">${title}; ${seconds} seconds</text>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}
