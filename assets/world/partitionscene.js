// Paints the levels of a partitioning: cells by count on one canvas, the picked cell and the one under the pointer on
// another.
import { BUCKETS, decodeLevel } from "./cells.js";
import { project } from "./geometry.js";
import { Ground, Scene } from "./scene.js";

export const OPACITY = 0.78;

export const same = (a, b) => a === b || (a && b && a.level === b.level && a.cell === b.cell);

export class Chart extends Ground {
  constructor(map, data) {
    super(map, data);
    this.decoded = data.levels.map(() => null);
    this.level = data.levels.length - 1; // coarse to fine
    this.picked = this.pointed = null; // { level, cell }
    this.scene = new Scene(this);
    // The picked cell and the one under the pointer change often, the cells below them do not.
    this.marks = new Scene({ data: { tiles: true }, paintCells() {}, paintMarks: (paint) => this.paintPicked(paint) });
  }

  at(level) {
    return (this.decoded[level] ??= decodeLevel(this.map, this.data.levels[level]));
  }

  color(bucket) {
    return this.paletteColor(bucket / (BUCKETS - 1));
  }

  paintCells({ context, px }) {
    this.at(this.level).buckets.forEach((path, bucket) => {
      if (!path) return;
      context.globalAlpha = OPACITY;
      context.fillStyle = this.color(bucket);
      context.fill(path); // holes have the opposite direction, so overlapping cells make none
      context.globalAlpha = 1;
      context.lineWidth = 0.5 * px;
      context.strokeStyle = this.data.dark ? "rgba(10,14,19,.55)" : "rgba(255,255,255,.6)";
      context.stroke(path);
    });
  }

  paintMarks() {}

  paintPicked({ context, px }) {
    const outline = ({ level, cell }, color, width, dash = []) => {
      const path = this.at(level).path(cell);
      context.lineJoin = "round";
      for (const [stroke, wide, gaps] of [
        [this.theme.halo, width + 2, []],
        [color, width, dash],
      ]) {
        context.setLineDash(gaps.map((length) => length * px));
        context.lineWidth = wide * px;
        context.strokeStyle = stroke;
        context.stroke(path);
      }
      context.setLineDash([]);
    };
    if (this.picked) {
      for (const above of this.chain(this.picked).slice(1).reverse()) outline(above, this.theme.target, 1.4, [5, 4]);
      outline(this.picked, this.theme.target, 2.4);
    }
    if (this.pointed && !same(this.pointed, this.picked)) outline(this.pointed, this.theme.top, 1.4);
  }

  // A cell and the coarser cells that hold it, fine to coarse.
  chain({ level, cell }) {
    const found = [{ level, cell }];
    while (level > 0 && this.at(level).parents) {
      cell = this.at(level).parents[cell];
      level -= 1;
      found.push({ level, cell });
    }
    return found;
  }

  label({ level, cell }) {
    return this.data.levels[level].labels[cell] || this.data.levels[level].keys[cell];
  }

  // The smallest cell of the shown level under a point in degrees; null for none.
  cellAt(lat, lon) {
    const { boxes, path } = this.at(this.level);
    const y = project(this.map, lat, 0).y;
    const turns = [-1, 0, 1].map((k) => project(this.map, lat, ((((lon + 180) % 360) + 360) % 360) - 180 + 360 * k).x);
    const context = this.scene._context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    let [best, smallest] = [null, Infinity];
    boxes.forEach(({ left, right, top, bottom }, i) => {
      const area = (right - left) * (bottom - top);
      if (y < top || y > bottom || area >= smallest) return;
      const inside = turns.some((x) => left <= x && x <= right && context.isPointInPath(path(i), x, y));
      if (inside) [best, smallest] = [{ level: this.level, cell: i }, area];
    });
    return best;
  }
}
