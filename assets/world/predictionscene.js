// Paints one prediction: cells by probability, and all marks.
import { decodeCells, nearestCell } from "./cells.js";
import { decodeIntegers, decodePoints, project, trace } from "./geometry.js";
import { Places } from "./places.js";
import { Ground, Scene } from "./scene.js";

const BUCKETS = 48;
const CIRCLE_POINTS_PER_ZOOM = 1.6;

const opacity = (level) => 0.4 + 0.5 * (level / 255);

// Cells of similar probability share one path; the most probable are painted last.
export function cellBuckets(cells) {
  const order = Array.from({ length: BUCKETS }, () => []);
  for (let i = 0; i < cells.count; i++) {
    if (cells.levels[i]) order[Math.min(BUCKETS - 1, Math.floor((cells.levels[i] * BUCKETS) / 256))].push(i);
  }
  return order;
}

export class View extends Ground {
  constructor(map, data) {
    super(map, data);
    this.target = data.target;
    this.cells = decodeCells(map, data);
    this.buckets = cellBuckets(this.cells);
    this.bucketPaths = this.buckets.map(() => null);
    this.searching = true;
    this.places = new Places(this);
    this.lines = new Map(
      [data, data.without]
        .filter(Boolean)
        .map((marks) => [marks, { circle: this.line(marks.circle), truth: this.line(marks.truth) }]),
    );
    this.scene = new Scene(this);
  }

  // The point, the circle and the line to the true point, of the answer with or without the search.
  get marks() {
    return this.searching || !this.data.without ? this.data : this.data.without;
  }

  get search() {
    return this.searching ? this.data.search : null;
  }

  line(mark) {
    if (!mark) return null;
    const points = decodePoints(mark.line);
    const path = new Path2D();
    trace(
      this.map,
      path,
      (i) => points[2 * i],
      (i) => points[2 * i + 1],
      0,
      points.length / 2,
      { close: false },
    );
    return path;
  }

  color(level) {
    return this.paletteColor(level / 255);
  }

  // The colour of cells as it looks on land, where they are translucent.
  legendGradient() {
    const stops = Array.from({ length: 16 }, (_, i) => {
      const level = (i / 15) * 255;
      return (
        this.color(level) +
        Math.round(255 * opacity(level))
          .toString(16)
          .padStart(2, "0")
      );
    });
    return `linear-gradient(to right, ${stops.join(",")}), ${this.theme.land}`;
  }

  radius(zoom) {
    return Math.max(1.5, Math.min(9, CIRCLE_POINTS_PER_ZOOM * 2 ** (zoom - 1.5)));
  }

  cellPath(index, radius) {
    return this.cellsPath([index], radius);
  }

  cellsPath(indices, radius) {
    const { cells } = this;
    const path = new Path2D();
    for (const i of indices) {
      if (cells.has(i)) cells.trace(i, path);
      else {
        path.moveTo(cells.xy[2 * i] + radius, cells.xy[2 * i + 1]);
        path.arc(cells.xy[2 * i], cells.xy[2 * i + 1], radius, 0, 2 * Math.PI);
      }
    }
    return path;
  }

  // Discs change with the zoom, rings do not.
  bucketPath(bucket, radius) {
    if (!this.cells.complete) return this.cellsPath(this.buckets[bucket], radius);
    return (this.bucketPaths[bucket] ??= this.cellsPath(this.buckets[bucket], radius));
  }

  paintCells({ context, px, zoom }) {
    const radius = this.radius(zoom) * px;
    this.places.paintFill(context, this.theme.target, radius);
    this.buckets.forEach((members, bucket) => {
      if (!members.length) return;
      const level = ((bucket + 0.5) / BUCKETS) * 255;
      context.globalAlpha = opacity(level);
      context.fillStyle = this.color(level);
      const path = this.bucketPath(bucket, radius);
      context.fill(path);
      if (!this.cells.complete) return;
      context.globalAlpha = 1;
      context.lineWidth = 0.6 * px;
      context.strokeStyle = this.theme.edge;
      context.stroke(path);
    });
    context.globalAlpha = 1;
  }

  paintMarks({ context, px, zoom, map }) {
    const { theme, data, marks, search } = this;
    const lines = this.lines.get(marks);
    context.lineJoin = "round";
    const outline = (path, color, width, dash = []) => {
      context.setLineDash([]);
      context.lineWidth = (width + 2) * px;
      context.strokeStyle = theme.halo;
      context.stroke(path);
      context.setLineDash(dash.map((length) => length * px));
      context.lineWidth = width * px;
      context.strokeStyle = color;
      context.stroke(path);
      context.setLineDash([]);
    };
    const radius = (this.radius(zoom) + 2) * px;
    for (const i of data.top) outline(this.cellPath(i, radius), theme.top, 1.4);
    this.places.paintOutline(outline, theme.target, radius);
    if (this.target !== null) outline(this.cellPath(this.target, radius), theme.target, 2.6);
    if (lines.circle) outline(lines.circle, theme.top, 1.3, [6, 5]);
    if (lines.truth) outline(lines.truth, theme.truth, 2);
    const { x, y } = project(map, ...marks.point);
    if (search) this.paintSearch(search, outline, { context, px, map, x, y });
    if (marks.truth) this.paintDiamond(context, project(map, ...marks.truth.point), px);
    const dot = new Path2D();
    dot.arc(x, y, 5 * px, 0, 2 * Math.PI);
    outline(dot, theme.top, 2);
    context.fillStyle = theme.point;
    context.fill(dot);
    context.fillStyle = theme.top;
    context.beginPath();
    context.arc(x, y, 2 * px, 0, 2 * Math.PI);
    context.fill();
  }

  // The line from the centre of the cell to the answer, and the photos: those of the chosen cluster filled, on top.
  paintSearch(search, outline, { context, px, map, x, y }) {
    const { theme } = this;
    const way = new Path2D();
    const center = project(map, ...search.center);
    way.moveTo(center.x, center.y);
    way.lineTo(x, y);
    outline(way, theme.found, 2);
    const cross = new Path2D();
    for (const side of [-1, 1]) {
      cross.moveTo(center.x - 4 * px, center.y - 4 * side * px);
      cross.lineTo(center.x + 4 * px, center.y + 4 * side * px);
    }
    outline(cross, theme.found, 2);
    for (const chosen of [false, true]) {
      search.points.forEach((point, i) => {
        if (search.chosen[i] !== chosen) return;
        const at = project(map, ...point);
        const dot = new Path2D();
        dot.arc(at.x, at.y, (chosen ? 4 : 3) * px, 0, 2 * Math.PI);
        outline(dot, chosen ? theme.point : theme.found, chosen ? 1 : 1.6);
        context.fillStyle = chosen ? theme.found : theme.point;
        context.fill(dot);
      });
    }
  }

  paintDiamond(context, { x, y }, px) {
    const size = 7 * px;
    const path = new Path2D();
    path.moveTo(x, y - size);
    path.lineTo(x + size, y);
    path.lineTo(x, y + size);
    path.lineTo(x - size, y);
    path.closePath();
    context.lineJoin = "miter";
    context.lineWidth = 3.5 * px;
    context.strokeStyle = this.theme.halo;
    context.stroke(path);
    context.fillStyle = this.theme.truth;
    context.fill(path);
  }

  // The cell under a point in degrees, at any longitude, or -1.
  cellAt(lat, lon) {
    const here = project(this.map, lat, ((((lon + 180) % 360) + 360) % 360) - 180);
    const world = project(this.map, 0, 180).x - project(this.map, 0, -180).x;
    const turns = [-1, 0, 1].map((k) => here.x + k * world);
    const context = this.scene._context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    const inside = (i) => turns.some((x) => context.isPointInPath(this.cellPath(i, 0), x, here.y));
    for (const i of this.cells.bordered || []) {
      // the smallest first
      const { left, right, top, bottom } = this.cells.box(i);
      if (top <= here.y && here.y <= bottom && turns.some((x) => left <= x && x <= right) && inside(i)) return i;
    }
    const index = nearestCell(this.cells, lat, lon);
    if (this.cells.has(index)) return inside(index) ? index : -1;
    const zoom = this.map.options.crs.scale(this.map.getZoom()) / this.map.options.crs.scale(0);
    const [x, y] = [this.cells.xy[2 * index], this.cells.xy[2 * index + 1]];
    return Math.hypot(x - here.x, y - here.y) * zoom < 10 ? index : -1;
  }

  probabilityText(index) {
    this.percentOf ??= decodeIntegers(this.data.percent_of);
    return this.data.percents[this.percentOf[index]];
  }
}
