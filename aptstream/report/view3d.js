// The particles in 3D, with plain WebGL 2: surfaces, ions, box and axes, seen by a camera that keeps z upright.
// Without WebGL nothing here happens, and the page keeps its picture.
const SURFACE_VERTEX = `#version 300 es
uniform vec3 low, size, target; uniform mat3 turn; uniform vec4 lens; uniform vec2 range; uniform float chosen, picks;
in vec3 place, normal, colour; in float owner;
out vec3 tint, facing; out float fog;
void main() {
  vec3 seen = turn * (low + place * size - target);
  float depth = lens.w - seen.z;
  gl_Position = vec4(seen.xy * lens.xy, depth * range.x + range.y, depth);
  facing = turn * normal;
  fog = clamp((depth - lens.w) / lens.z * 0.5 + 0.5, 0.0, 1.0);
  float number = owner + 1.0;
  tint = owner == chosen ? vec3(0.92, 0.30, 0.0) : colour;
  if (picks > 0.5) tint = vec3(mod(number, 256.0), mod(floor(number / 256.0), 256.0), floor(number / 65536.0)) / 255.0;
}`;
const SURFACE_FRAGMENT = `#version 300 es
precision highp float;
uniform float picks;
in vec3 tint, facing; in float fog;
out vec4 pixel;
void main() {
  if (picks > 0.5) { pixel = vec4(tint, 1.0); return; }
  vec3 n = normalize(facing);
  if (n.z < 0.0) n = -n;
  vec3 sun = normalize(vec3(-0.45, 0.65, 0.75));
  float light = 0.62 + 0.14 * n.y + 0.42 * max(dot(n, sun), 0.0);
  float shine = 0.18 * pow(max(dot(reflect(-sun, n), vec3(0.0, 0.0, 1.0)), 0.0), 24.0);
  float rim = 0.72 + 0.28 * smoothstep(0.0, 0.45, n.z);
  pixel = vec4(mix(tint * light * rim + shine, vec3(1.0), 0.34 * fog), 1.0);
}`;
const POINT_VERTEX = `#version 300 es
uniform vec3 low, size, target; uniform mat3 turn; uniform vec4 lens; uniform vec2 range; uniform vec3 spot;
in vec3 place;
out float fog;
void main() {
  vec3 seen = turn * (low + place * size - target);
  float depth = lens.w - seen.z;
  gl_Position = vec4(seen.xy * lens.xy, depth * range.x + range.y, depth);
  gl_PointSize = clamp(spot.x / depth, spot.y, spot.z);
  fog = clamp((depth - lens.w) / lens.z * 0.5 + 0.5, 0.0, 1.0);
}`;
const POINT_FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 colour; uniform float disc;
in float fog;
out vec4 pixel;
void main() {
  vec2 at = 2.0 * gl_PointCoord - 1.0;
  float r = dot(at, at) * disc;
  if (r > 1.0) discard;
  float light = 1.0 - 0.38 * r;
  pixel = vec4(mix(colour * light, vec3(1.0), 0.5 * fog), 1.0);
}`;
const FIELD = Math.tan(Math.PI * 13 / 180); // half the field of view: narrow, so that shapes look as they are
const START = { azimuth: -0.93, elevation: 0.28 };

const view = document.querySelector("section.view");
if (view) showView(view);

function showView(section) {
  const stage = section.querySelector(".stage");
  const canvas = section.querySelector("canvas.solid"), words = section.querySelector("canvas.words");
  const gl = canvas.getContext("webgl2", { antialias: true, alpha: false, preserveDrawingBuffer: true });
  if (!gl) return;
  const scene = JSON.parse(section.querySelector("script.data").textContent);
  const box = { low: scene.low, size: scene.high.map((high, i) => high - scene.low[i]) };
  const middle = box.low.map((low, i) => low + box.size[i] / 2);
  const radius = Math.hypot(...box.size) / 2;
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const layers = {};
  for (const input of section.querySelectorAll("input[data-layer]")) layers[input.dataset.layer] = input.checked;
  let camera, chosen = -1, share = 1, printing = false, waiting = false;

  // ---- data: bytes to buffers ----
  const bytes = Uint8Array.from(atob(scene.data), (letter) => letter.charCodeAt(0));
  let read = 0;
  const next = (n) => new Uint16Array(bytes.buffer, (read += 2 * n) - 2 * n, n);
  const sum = (list, key) => list.reduce((total, item) => total + item[key], 0);
  const nVertices = sum(scene.particles, "vertices"), nTriangles = sum(scene.particles, "triangles");
  const place = next(3 * nVertices), local = next(3 * nTriangles);
  const triangles = new Uint32Array(local.length), owner = new Float32Array(nVertices);
  for (let p = 0, v = 0, t = 0; p < scene.particles.length; p++) {
    const { vertices, triangles: n } = scene.particles[p];
    for (const end = t + 3 * n; t < end; t++) triangles[t] = local[t] + v;
    owner.fill(p, v, (v += vertices));
  }
  // Normals of vertices: the mean of the triangles around, weighted by their areas.
  const normal = new Float32Array(3 * nVertices);
  const corner = (v) => [0, 1, 2].map((i) => place[3 * v + i] * box.size[i] / 65535);
  for (let t = 0; t < triangles.length; t += 3) {
    const [a, b, c] = [0, 1, 2].map((i) => corner(triangles[t + i]));
    const n = cross(b.map((x, i) => x - a[i]), c.map((x, i) => x - a[i]));
    for (let k = 0; k < 3; k++) for (let i = 0; i < 3; i++) normal[3 * triangles[t + k] + i] += n[i];
  }

  function program(vertex, fragment, names) {
    const made = gl.createProgram();
    for (const [type, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    names.forEach((name, i) => gl.bindAttribLocation(made, i, name));
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
    return { made, at: (name) => gl.getUniformLocation(made, name) };
  }
  function attribute(index, data, size, type, normalised) {
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(index);
    gl.vertexAttribPointer(index, size, type, normalised, 0, 0);
    return buffer;
  }
  function points(data) {
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    attribute(0, data, 3, gl.UNSIGNED_SHORT, true);
    return { array, n: data.length / 3 };
  }
  const solid = program(SURFACE_VERTEX, SURFACE_FRAGMENT, ["place", "normal", "colour", "owner"]);
  const small = program(POINT_VERTEX, POINT_FRAGMENT, ["place"]);
  const surfaces = gl.createVertexArray();
  gl.bindVertexArray(surfaces);
  attribute(0, place, 3, gl.UNSIGNED_SHORT, true);
  attribute(1, normal, 3, gl.FLOAT, false);
  const colours = attribute(2, new Uint8Array(3 * nVertices), 3, gl.UNSIGNED_BYTE, true);
  attribute(3, owner, 1, gl.FLOAT, false);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, triangles, gl.STATIC_DRAW);
  const ions = scene.ions.map((layer) => ({ ...points(next(3 * layer.n)), colour: rgb(layer.colour) }));
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((c) => [c & 1, (c >> 1) & 1, (c >> 2) & 1]);
  const edges = [0, 1, 2].flatMap((axis) => corners.filter((c) => !c[axis]).map((c) => [axis, c, c.with(axis, 1)]));
  const frame = points(new Uint16Array(edges.flatMap(([, a, b]) => [...a, ...b]).map((x) => 65535 * x)));

  function paint(quantity) {
    const values = scene.particles.map((particle) => particle[quantity]);
    const low = Math.min(...values), span = Math.max(...values) - low || 1, last = scene.ramp.length - 1;
    const table = scene.ramp.map((hex) => rgb(hex).map((part) => 255 * part));
    const data = new Uint8Array(3 * nVertices);
    for (let v = 0; v < nVertices; v++) data.set(table[Math.round((values[owner[v]] - low) / span * last)], 3 * v);
    gl.bindBuffer(gl.ARRAY_BUFFER, colours);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    for (const bar of section.querySelectorAll("[data-bar]")) bar.hidden = bar.dataset.bar !== quantity;
  }

  // ---- camera: it turns around a target, and z stays upright ----
  function turned({ azimuth: a, elevation: e }) {
    const back = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
    const right = [-Math.sin(a), Math.cos(a), 0];
    return { right, up: cross(back, right), back };
  }
  const aspect = () => canvas.clientWidth / Math.max(1, canvas.clientHeight);
  function look(azimuth, elevation) { // as near as all corners of the box, and the words beside them, allow
    camera = { azimuth, elevation, target: [...middle], distance: 0 };
    const { right, up, back } = turned(camera);
    const [wide, high] = [Math.max(200, canvas.clientWidth), Math.max(200, canvas.clientHeight)];
    const room = [1 - 130 / wide, 1 - 100 / high];
    const all = corners.map((c) => c.map((end, i) => box.low[i] + end * box.size[i]));
    for (let again = 0; again < 4; again++) {
      camera.distance = Math.max(...all.map((at) => {
        const from = at.map((x, i) => x - camera.target[i]);
        const [x, y] = [Math.abs(dot(right, from)) / aspect() / room[0], Math.abs(dot(up, from)) / room[1]];
        return dot(back, from) + Math.max(x, y) / FIELD;
      }));
      const [x, y] = [0, 1].map((i) => all.map((at) => seen(at)[i])); // what is near looks larger: bring it to the middle
      shift((canvas.clientWidth - Math.min(...x) - Math.max(...x)) / 2, (canvas.clientHeight - Math.min(...y) - Math.max(...y)) / 2);
    }
  }
  function seen(at) { // where a place in nm is, in pixels of the page
    const { right, up, back } = turned(camera), from = at.map((x, i) => x - camera.target[i]);
    const half = canvas.clientHeight / 2 / FIELD / (camera.distance - dot(back, from));
    return [canvas.clientWidth / 2 + half * dot(right, from), canvas.clientHeight / 2 - half * dot(up, from)];
  }
  function spin(dx, dy) {
    camera.azimuth -= dx;
    camera.elevation = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, camera.elevation + dy));
    ask();
  }
  function shift(dx, dy) { // by pixels
    const { right, up } = turned(camera), step = 2 * FIELD * camera.distance / canvas.clientHeight;
    camera.target = camera.target.map((x, i) => x - step * (dx * right[i] - dy * up[i]));
    ask();
  }
  function zoom(by) {
    camera.distance = Math.max(0.05 * radius, Math.min(20 * radius / FIELD, camera.distance * by));
    ask();
  }

  // ---- drawing ----
  function ask() {
    if (waiting) return; // once a frame
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }
  function fit() {
    const ratio = Math.min(3, printing ? 2 : window.devicePixelRatio || 1);
    for (const one of [canvas, words]) {
      const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.max(1, Math.round(n * ratio)));
      if (one.width !== width || one.height !== height) [one.width, one.height] = [width, height];
    }
    return canvas.width / Math.max(1, canvas.clientWidth);
  }
  function use({ made, at }) {
    const { right, up, back } = turned(camera), d = camera.distance;
    const off = Math.hypot(...camera.target.map((x, i) => x - middle[i])) + 1.02 * radius;
    const near = Math.max(d - off, 0.01 * d), far = d + off;
    gl.useProgram(made);
    gl.uniform3fv(at("low"), box.low);
    gl.uniform3fv(at("size"), box.size);
    gl.uniform3fv(at("target"), camera.target);
    gl.uniformMatrix3fv(at("turn"), false, [0, 1, 2].flatMap((i) => [right[i], up[i], back[i]]));
    gl.uniform4f(at("lens"), 1 / FIELD / aspect(), 1 / FIELD, radius, d);
    gl.uniform2f(at("range"), (far + near) / (far - near), -2 * far * near / (far - near));
  }
  function drawSurfaces(picks) {
    if (!layers.particles) return;
    use(solid);
    gl.uniform1f(solid.at("chosen"), chosen);
    gl.uniform1f(solid.at("picks"), picks);
    gl.bindVertexArray(surfaces);
    gl.drawElements(gl.TRIANGLES, triangles.length, gl.UNSIGNED_INT, 0);
  }
  function clear(...colour) {
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(...colour);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  }
  function draw() {
    const ratio = fit();
    clear(1, 1, 1, 1);
    drawSurfaces(0);
    use(small);
    gl.uniform3f(small.at("spot"), 0.24 * canvas.height / 2 / FIELD, 1.5 * ratio, 8 * ratio); // ions are 0.24 nm wide
    gl.uniform1f(small.at("disc"), 1);
    ions.forEach((layer, i) => {
      if (!layers["ions-" + i]) return;
      gl.uniform3fv(small.at("colour"), layer.colour);
      gl.bindVertexArray(layer.array);
      gl.drawArrays(gl.POINTS, 0, Math.ceil(layer.n * share)); // any first part of them is evenly spread
    });
    if (layers.box) {
      gl.uniform1f(small.at("disc"), 0);
      gl.uniform3f(small.at("colour"), 0.45, 0.5, 0.56);
      gl.bindVertexArray(frame.array);
      gl.drawArrays(gl.LINES, 0, frame.n);
    }
    write(ratio);
  }

  // ---- words: axes in nm, and the number of the chosen particle ----
  function write(ratio) {
    const pen = words.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, words.width, words.height);
    // Browsers print a flat canvas, but not always one of WebGL: on paper the words carry the picture.
    if (printing) pen.drawImage(canvas, 0, 0, words.width / ratio, words.height / ratio);
    pen.font = (printing ? "19px " : "13px ") + getComputedStyle(document.body).fontFamily;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const taken = [];
    const text = (word, [x, y], [nx, ny], gap) => {
      const wide = pen.measureText(word).width / 2;
      pen.strokeStyle = "rgba(255, 255, 255, .85)";
      pen.lineWidth = 4;
      pen.lineJoin = "round";
      const at = [x + nx * (gap + wide), y + ny * (gap + 6)];
      if (taken.some(([other, width]) => Math.abs(other[1] - at[1]) < 13 && Math.abs(other[0] - at[0]) < wide + width + 3))
        return; // no word upon another
      taken.push([at, wide]);
      pen.strokeText(word, ...at);
      pen.fillText(word, ...at);
    };
    if (layers.box) for (const axis of [0, 1, 2]) writeAxis(pen, text, axis);
    if (chosen >= 0 && layers.particles) {
      pen.font = "600 " + pen.font;
      pen.fillStyle = "#1c2430";
      const { centre, radius: r, number } = scene.particles[chosen], { up } = turned(camera);
      const [x, y] = seen(centre), top = seen(centre.map((at, i) => at + 1.15 * r * up[i]));
      for (const [colour, width] of [["#fff", 4], ["#d55e00", 2]]) { // seen through whatever stands before it
        [pen.strokeStyle, pen.lineWidth] = [colour, width];
        pen.beginPath();
        pen.arc(x, y, y - top[1] + 3, 0, 2 * Math.PI);
        pen.stroke();
      }
      text("No. " + number, [top[0], top[1] - 3], [0, -1], 5);
    }
  }
  function writeAxis(pen, text, axis) {
    const place = (c) => c.map((end, i) => box.low[i] + end * box.size[i]);
    // The edge along which the words stand: lowest for x and y, leftmost for z.
    const score = ([a, b]) => (axis < 2 ? -(a[1] + b[1]) + 0.05 * (a[0] + b[0]) : a[0] + b[0]);
    const own = edges.filter(([along]) => along === axis).map(([, a, b]) => [seen(place(a)), seen(place(b)), a]);
    const [from, to, start] = own.reduce((best, one) => (score(one) < score(best) ? one : best));
    const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
    if (length < 24 || Math.abs(turned(camera).back[axis]) > 0.97) return; // seen end on
    let out = [(to[1] - from[1]) / length, (from[0] - to[0]) / length];
    const centre = seen(middle), half = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
    if (out[0] * (half[0] - centre[0]) + out[1] * (half[1] - centre[1]) < 0) out = out.map((x) => -x);
    const wish = box.size[axis] * 46 / length; // a tick every 46 pixels or more
    const power = 10 ** Math.floor(Math.log10(wish)), step = [1, 2, 5, 10].find((n) => n * power >= wish) * power;
    const low = box.low[axis], high = low + box.size[axis], first = Math.ceil(low / step - 1e-9);
    let ticks = Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
    if (ticks.length < 2) ticks = [low, high];
    pen.fillStyle = "#1c2430";
    if (axis < 2) text("xyz"[axis] + " (nm)", half, out, 28);
    else text("z (nm)", [to[0], to[1] - 4], [0, -1], 8);
    pen.fillStyle = "#3b4654";
    for (const value of ticks) {
      const at = seen(place(start).with(axis, value));
      pen.strokeStyle = "#737f8f";
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(...at);
      pen.lineTo(at[0] + 5 * out[0], at[1] + 5 * out[1]);
      pen.stroke();
      text(String(+value.toPrecision(6)).replace("-", "\u2212"), at, out, 9);
    }
  }

  // ---- choosing: a particle, its row, and a sentence ----
  const rows = () => [...document.querySelectorAll("tr[data-particle]")];
  const said = section.querySelector(".picked"), nothing = said.textContent;
  function choose(number) {
    chosen = scene.particles.findIndex((particle) => particle.number === number);
    const row = rows().find((one) => one.dataset.particle === String(number));
    for (const other of document.querySelectorAll("tr.chosen")) {
      other.classList.remove("chosen");
      other.removeAttribute("aria-current");
    }
    said.textContent = number ? "Particle " + number : nothing;
    if (number && chosen < 0) said.textContent += " is too small to be drawn here.";
    if (chosen >= 0) {
      const { radius: r, order, centre } = scene.particles[chosen];
      const at = centre.map((x) => x.toFixed(1)).join(", ").replaceAll("-", "\u2212");
      said.textContent += `: radius ${r.toFixed(2)} nm, mean order ${order.toFixed(2)}, at (${at}) nm. `;
    }
    if (row) {
      row.classList.add("chosen");
      row.setAttribute("aria-current", "true");
      // Only the table scrolls: the page stays where the reader looks.
      const list = row.closest(".scroll"), head = row.closest("table").tHead.offsetHeight;
      const top = row.offsetTop - head, bottom = row.offsetTop + row.offsetHeight;
      if (top < list.scrollTop) list.scrollTop = top;
      else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
      const show = document.createElement("button");
      show.type = "button";
      show.textContent = "Show its row";
      show.addEventListener("click", () => list.scrollIntoView({ block: "nearest" }));
      said.append(show);
    }
    ask();
  }
  function pick(x, y) { // the particle at a pixel of the page, or the nearest within 3; 0 = none
    const ratio = fit(), target = gl.createFramebuffer(), near = 3;
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    const stores = [[gl.RGBA8, gl.COLOR_ATTACHMENT0], [gl.DEPTH_COMPONENT16, gl.DEPTH_ATTACHMENT]].map(([form, at]) => {
      const store = gl.createRenderbuffer();
      gl.bindRenderbuffer(gl.RENDERBUFFER, store);
      gl.renderbufferStorage(gl.RENDERBUFFER, form, canvas.width, canvas.height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, at, gl.RENDERBUFFER, store);
      return store;
    });
    clear(0, 0, 0, 0);
    drawSurfaces(1);
    const side = 2 * near + 1, found = new Uint8Array(4 * side * side);
    const [px, py] = [Math.round(x * ratio), Math.round(canvas.height - y * ratio)];
    gl.readPixels(px - near, py - near, side, side, gl.RGBA, gl.UNSIGNED_BYTE, found);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.deleteFramebuffer(target);
    stores.forEach((store) => gl.deleteRenderbuffer(store));
    let best = 0, away = Infinity;
    for (let i = 0; i < side * side; i++) {
      const index = found[4 * i] + 256 * found[4 * i + 1] + 65536 * found[4 * i + 2];
      const far = Math.hypot((i % side) - near, Math.floor(i / side) - near);
      if (index && far < away) [best, away] = [scene.particles[index - 1].number, far];
    }
    return best;
  }

  // ---- mouse, touch, keys ----
  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    if (!fingers.size) moved = 0;
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.offsetX, event.offsetY], dx = now[0] - before[0], dy = now[1] - before[1];
    moved += Math.hypot(dx, dy);
    const other = [...fingers].find(([id]) => id !== event.pointerId);
    if (other) { // two fingers: their distance zooms, their middle moves
      const apart = (at) => Math.hypot(at[0] - other[1][0], at[1] - other[1][1]) || 1;
      zoom(apart(before) / apart(now));
      shift(dx / 2, dy / 2);
    } else if (event.shiftKey || event.buttons & 6) shift(dx, dy);
    else spin(0.008 * dx, 0.008 * dy);
    fingers.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      const alone = fingers.size === 1;
      if (fingers.delete(event.pointerId) && alone && end === "pointerup" && moved < 5 && event.button === 0)
        choose(pick(event.offsetX, event.offsetY));
    });
  }
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return; // the page scrolls until the view is in use
    event.preventDefault();
    zoom(Math.exp(0.0012 * event.deltaY * (event.deltaMode ? 30 : 1)));
  }, { passive: false });
  const step = (by) => {
    const n = scene.particles.length;
    if (n) choose(scene.particles[chosen < 0 && by < 0 ? n - 1 : (chosen + by + n) % n].number);
  };
  const move = (x, y) => (event) => (event.shiftKey ? shift(-30 * x, -30 * y) : spin(0.12 * x, 0.12 * y));
  const keys = {
    ArrowLeft: move(1, 0), ArrowRight: move(-1, 0), ArrowUp: move(0, 1), ArrowDown: move(0, -1),
    "+": () => zoom(0.85), "=": () => zoom(0.85), "-": () => zoom(1 / 0.85), 0: () => look(START.azimuth, START.elevation),
    n: () => step(1), p: () => step(-1), Escape: () => choose(0),
  };
  canvas.addEventListener("keydown", (event) => {
    const act = keys[event.key] || keys[event.key.toLowerCase()];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(event);
  });
  const looks = { x: [0, 0], y: [-Math.PI / 2, 0], z: [-Math.PI / 2, Math.PI / 2] };
  for (const button of section.querySelectorAll("[data-look]"))
    button.addEventListener("click", () => look(...(looks[button.dataset.look] || [START.azimuth, START.elevation])));
  for (const input of section.querySelectorAll("input[data-layer]"))
    input.addEventListener("change", () => { layers[input.dataset.layer] = input.checked; ask(); });
  const many = section.querySelector("input[data-share]");
  function thin() {
    share = many ? many.value / 100 : 1;
    scene.ions.forEach((layer, i) => {
      section.querySelector(`[data-count="${i}"]`).textContent = Math.ceil(layer.n * share).toLocaleString("en");
    });
    ask();
  }
  if (many) many.addEventListener("input", thin);
  for (const input of section.querySelectorAll("input[name=colour]"))
    input.addEventListener("change", () => { paint(input.value); ask(); });

  // Rows of the table answer clicks, Enter and the arrow keys.
  for (const row of rows()) {
    row.tabIndex = -1;
    row.addEventListener("click", () => choose(Number(row.dataset.particle)));
    row.addEventListener("keydown", (event) => {
      const to = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Enter: row, " ": row }[event.key];
      if (!to) return;
      event.preventDefault();
      to.focus();
      choose(Number(to.dataset.particle));
    });
  }
  if (rows().length) rows()[0].tabIndex = 0;

  // ---- begin ----
  canvas.addEventListener("webglcontextlost", () => showStill(true));
  function showStill(still) {
    stage.hidden = still;
    section.querySelector(".still").hidden = !still;
    section.querySelector(".keys").hidden = still;
  }
  showStill(false);
  paint(section.querySelector("input[name=colour]:checked")?.value || "radius");
  look(START.azimuth, START.elevation);
  thin();
  draw();
  new ResizeObserver(ask).observe(canvas);
  addEventListener("beforeprint", () => { printing = true; draw(); });
  addEventListener("afterprint", () => { printing = false; draw(); });
}
