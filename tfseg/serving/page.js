"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const [drop, file, sample, status, result, stage, view, cross, spot, what, list, strength, outlines] =
  ["drop", "file", "sample", "status", "result", "stage", "view", "cross", "spot", "what", "classes", "strength", "outlines"]
    .map(id => document.getElementById(id));
const layer = document.createElement("canvas");  // the classes that are shown, each in its color
const lines = document.createElement("canvas");  // their outlines
let photograph = null, map = null, counts = [], shown = new Set(), title = "", asked = 0, place = null;

file.accept = facts.channels ? ".npy,.tif,.tiff,.png" : "image/*,.tif,.tiff,.heic,.heif";
sample.hidden = !facts.sample;
document.body.classList.add("empty");

function say(text, failed = false) {
  status.textContent = text;
  status.classList.toggle("error", failed);
  if (!failed) return;
  // A result beside an error would look like the result of what failed.
  result.hidden = true;
  document.body.classList.add("empty");
  photograph = map = null;
}

function percent(share) {
  return share < 0.0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`;
}

function nameOf(index) {
  return index < facts.classes.length ? facts.classes[index] : index === facts.void ? "void" : `class ${index}`;
}

function swatch(element, index) {
  element.classList.toggle("void", index === facts.void);
  element.style.backgroundColor = index < facts.colors.length ? `rgb(${facts.colors[index].join(" ")})` : "";
}

// A .npy file of version 1: its header is a line of text after ten bytes.
function readArray(buffer) {
  const start = 10 + new DataView(buffer).getUint16(8, true);
  const header = new TextDecoder("latin1").decode(buffer.slice(10, start));
  const [height, width] = header.match(/\((\d+), (\d+)\)/).slice(1).map(Number);
  const data = buffer.slice(start);
  return {height, width, values: header.includes("u1") ? new Uint8Array(data) : new Uint16Array(data)};
}

// The server refuses more pixels than its limit, so a larger photograph is sent smaller.
async function shrink(picture, limit) {
  const scale = Math.sqrt(limit / (picture.width * picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.floor(picture.width * scale));
  canvas.height = Math.max(1, Math.floor(picture.height * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise(resolve => canvas.toBlob(resolve, "image/jpeg", 0.95));
}

async function ask(address, body, name) {
  let response;
  try {
    response = await fetch(address, body ? {method: "POST", body} : {});
  } catch {
    throw new Error("The server does not answer. Is it still running, and is the file smaller than it allows?");
  }
  if (response.ok) return response;
  let reason = `The server answered ${response.status}.`;
  try {
    reason = (await response.json()).error;
  } catch { /* a proxy's own page */ }
  throw new Error(reason.replace(/^The image cannot be read: /, "").replace("an upload", name));
}

// Browsers show fewer kinds of pictures than the server reads, so the server shows those, or says what it was given.
async function pictureOf(chosen) {
  if (!facts.channels) {
    try {
      return {picture: await createImageBitmap(chosen), own: true};
    } catch { /* the server may read it */ }
  }
  const seen = await ask("preview", chosen, chosen.name);
  return {picture: await createImageBitmap(await seen.blob()), own: false};
}

async function segment(chosen) {
  const turn = ++asked;  // of two photographs, the later one is shown
  say(`Segmenting ${chosen.name} ...`);
  try {
    if (!chosen.size) throw new Error(`${chosen.name} is empty.`);
    const {picture, own} = await pictureOf(chosen);
    let body = chosen, note = "";
    if (own && picture.width * picture.height > facts.maxPixels) {
      body = await shrink(picture, facts.maxPixels);
      note = `, made smaller for this server's limit of ${facts.maxPixels} pixels`;
    }
    const start = performance.now();
    const response = await ask("segment?output=npy", body, chosen.name);
    const classes = readArray(await response.arrayBuffer());
    if (turn !== asked) return;
    [photograph, map, title, place] = [picture, classes, chosen.name.replace(/\.[^.]*$/, ""), null];
    count();
    listClasses();
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    say(`${chosen.name}: ${map.width} x ${map.height} pixels in ${seconds} s${note}.`);
  } catch (error) {
    if (turn === asked) say(error.message, true);
  }
}

function count() {
  counts = [];
  for (const value of map.values) counts[value] = (counts[value] ?? 0) + 1;
}

function listClasses() {
  const occurring = Object.keys(counts).map(Number).sort((a, b) => counts[b] - counts[a]);
  shown = new Set(occurring);
  list.replaceChildren(...occurring.map(index => {
    const item = document.createElement("li"), label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), {type: "checkbox", checked: true, value: index});
    const parts = ["swatch", "name", "share"].map(name => Object.assign(document.createElement("span"), {className: name}));
    swatch(parts[0], index);
    parts[1].textContent = nameOf(index);
    parts[2].textContent = percent(counts[index] / map.values.length);
    item.dataset.index = index;
    box.addEventListener("change", () => {
      if (box.checked) shown.add(index); else shown.delete(index);
      paint();
    });
    label.append(box, ...parts);
    item.append(label);
    return item;
  }));
  view.setAttribute("aria-label", "The photograph under the colors of its classes: " +
    occurring.map(index => `${nameOf(index)} ${percent(counts[index] / map.values.length)}`).join(", ") +
    ". Arrow keys read the class of a pixel.");
  stage.style.setProperty("--ratio", map.width / map.height);
  document.body.classList.remove("empty");
  result.hidden = false;
  cross.hidden = true;
  spot.hidden = true;
  what.textContent = "Point at the picture to read its classes.";
  paint();
}

// ImageData is red, green, blue, alpha; the machines that browsers run on read it from the low byte up.
function packed([red, green, blue]) {
  return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
}

function paint() {
  const {width, height, values} = map;
  const image = new ImageData(width, height), border = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer), edges = new Uint32Array(border.data.buffer);
  const colors = [];
  for (const index of shown) if (index < facts.colors.length) colors[index] = packed(facts.colors[index]);
  const dark = packed([40, 40, 40]), light = packed([235, 235, 235]);
  const side = Math.sqrt(width * height), step = Math.max(1, Math.round(side / 420));
  const period = Math.max(8, Math.round(side / 70));
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const value = values[at];
      if (!shown.has(value)) continue;
      if (value === facts.void) {
        pixels[at] = 2 * ((x + y) % period) < period ? dark : light;
        continue;
      }
      pixels[at] = colors[value];
      if ((x >= step && values[at - step] !== value) || (x + step < width && values[at + step] !== value) ||
          (y >= step && values[at - step * width] !== value) || (y + step < height && values[at + step * width] !== value))
        edges[at] = colors[value];
    }
  }
  for (const [canvas, data] of [[layer, image], [lines, border]]) {
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").putImageData(data, 0, 0);
  }
  blend();
}

function blend() {
  [view.width, view.height] = [map.width, map.height];
  const context = view.getContext("2d");
  context.drawImage(photograph, 0, 0, map.width, map.height);
  context.globalAlpha = strength.value / 100;
  context.drawImage(layer, 0, 0);
  context.globalAlpha = 1;
  if (outlines.checked) context.drawImage(lines, 0, 0);
}

function showAll(visible) {
  for (const box of list.querySelectorAll("input")) {
    box.checked = visible;
    if (visible) shown.add(Number(box.value)); else shown.delete(Number(box.value));
  }
  paint();
}

// ------------------------------------------------------------------------------------- the class under the pointer

function readAt(x, y, marked) {
  if (!map) return;
  x = Math.min(map.width - 1, Math.max(0, x));
  y = Math.min(map.height - 1, Math.max(0, y));
  place = [x, y];
  const index = map.values[y * map.width + x];
  swatch(spot, index);
  spot.hidden = false;
  const name = nameOf(index) === `class ${index}` ? nameOf(index) : `${nameOf(index)} (class ${index})`;
  what.textContent = `${name} at ${x}, ${y}: ${percent(counts[index] / map.values.length)} of the picture`;
  for (const item of list.children) item.classList.toggle("here", Number(item.dataset.index) === index);
  cross.hidden = !marked;
  cross.style.left = `${100 * (x + .5) / map.width}%`;
  cross.style.top = `${100 * (y + .5) / map.height}%`;
}

function readPointer(event) {
  const box = view.getBoundingClientRect();
  readAt(Math.floor((event.clientX - box.left) / box.width * map.width),
    Math.floor((event.clientY - box.top) / box.height * map.height), event.pointerType !== "mouse");
}

view.addEventListener("pointermove", readPointer);
view.addEventListener("pointerdown", readPointer);
view.addEventListener("keydown", event => {
  const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (!move || !map) return;
  event.preventDefault();
  const far = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(map.width, map.height) / 50));
  const [x, y] = place ?? [map.width >> 1, map.height >> 1];
  readAt(x + far * move[0], y + far * move[1], true);
});
view.addEventListener("blur", () => { cross.hidden = true; });

// ---------------------------------------------------------------------------------------------------- downloads

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const CHECKS = Uint32Array.from({length: 256}, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xEDB88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function chunk(kind, content) {
  const bytes = new Uint8Array(12 + content.length), head = new DataView(bytes.buffer);
  head.setUint32(0, content.length);
  for (let at = 0; at < 4; at++) bytes[4 + at] = kind.charCodeAt(at);
  bytes.set(content, 8);
  let check = ~0;
  for (let at = 4; at < bytes.length - 4; at++) check = CHECKS[(check ^ bytes[at]) & 255] ^ (check >>> 8);
  head.setUint32(bytes.length - 4, ~check);
  return bytes;
}

// A PNG whose pixel values are the classes, which a canvas cannot write: 8 bits with a palette, or 16 bits of gray.
async function maskFile() {
  const {width, height, values} = map, size = values.BYTES_PER_ELEMENT;
  const rows = new Uint8Array(height * (1 + width * size));
  for (let y = 0, at = 0; y < height; y++) {
    at++;  // the row's filter: none
    for (let x = 0; x < width; x++) {
      const value = values[y * width + x];
      if (size === 2) rows[at++] = value >> 8;
      rows[at++] = value & 255;
    }
  }
  const packed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));
  const head = new DataView(new ArrayBuffer(13));
  head.setUint32(0, width);
  head.setUint32(4, height);
  head.setUint8(8, 8 * size);
  head.setUint8(9, size === 1 ? 3 : 0);
  const parts = [Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), chunk("IHDR", new Uint8Array(head.buffer))];
  if (size === 1) parts.push(chunk("PLTE", Uint8Array.from(facts.palette.flat())));
  parts.push(chunk("IDAT", new Uint8Array(await packed.arrayBuffer())), chunk("IEND", new Uint8Array()));
  return new Blob(parts, {type: "image/png"});
}

document.getElementById("save_mask").addEventListener("click", async () => save(await maskFile(), `${title}.png`));
document.getElementById("save_overlay").addEventListener("click", () =>
  view.toBlob(blob => save(blob, `${title}_overlay.png`), "image/png"));

// ------------------------------------------------------------------------------------------------- what is chosen

file.addEventListener("change", () => {
  if (file.files.length) segment(file.files[0]);
  file.value = "";  // the same file may be chosen again
});
sample.addEventListener("click", async () => {
  try {
    const response = await ask("sample", null, "the sample");
    segment(new File([await response.blob()], "sample.jpg", {type: "image/jpeg"}));
  } catch (error) {
    say(error.message, true);
  }
});
// On the whole page: a photograph that is dropped beside the frame must not replace the page.
addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) segment(event.dataTransfer.files[0]);
});
addEventListener("paste", event => {
  if (event.clipboardData.files.length) segment(event.clipboardData.files[0]);
});
strength.addEventListener("input", () => { if (map) blend(); });
outlines.addEventListener("change", () => { if (map) blend(); });
document.getElementById("all").addEventListener("click", () => showAll(true));
document.getElementById("none").addEventListener("click", () => showAll(false));
