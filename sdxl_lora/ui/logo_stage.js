// A logo on a picture that is dragged, turned and sized: by mouse, by one or two fingers, by keys.
// A place is {x, y, width} in shares of the picture (of its centre; of its width) and an angle in degrees.
const LEAST = 0.02, MOST = 1;
const SETTLED = 350; // ms after the last key
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const turned = (angle) => ((Math.round(angle) + 540) % 360) - 180;

export default function ({ parentElement, data, setTriggerValue }) {
  const stage = parentElement.querySelector(".stage");
  stage.studio ??= watch(stage);
  stage.studio.take(data, (place) => setTriggerValue("moved", place));
}

function watch(stage) {
  const [picture, box, mark, said] = [".picture", ".box", ".mark", ".said"].map((css) => stage.querySelector(css));
  const fingers = new Map(); // pointer id -> [x, y]
  let data, send, place, grip = null, begun = null, timer = 0;

  const draw = () => {
    box.style.left = `${place.x * 100}%`;
    box.style.top = `${place.y * 100}%`;
    box.style.width = `${place.width * 100}%`;
    box.style.transform = `translate(-50%, -50%) rotate(${place.angle}deg)`;
  };
  const show = (moving) => {
    stage.classList.toggle("moving", moving);
    picture.src = moving || !data.printed ? data.picture : data.printed;
  };
  const move = (change) => {
    const next = { ...place, ...change };
    place = {
      x: clamp(next.x, 0, 1),
      y: clamp(next.y, 0, 1),
      width: clamp(next.width, LEAST, MOST),
      angle: turned(next.angle),
    };
    draw();
  };
  const done = () => {
    const rounded = (value) => Math.round(value * 1000) / 1000;
    place = { ...place, x: rounded(place.x), y: rounded(place.y), width: rounded(place.width) };
    const share = (value) => `${Math.round(value * 100)} %`;
    said.textContent =
      `${share(place.x)} from the left, ${share(place.y)} from the top, ${share(place.width)} wide, ${place.angle} degrees`;
    send(place);
  };

  // From the pointers as they are: their middle, how far apart they are, and in which direction.
  const grasp = () => {
    const frame = stage.getBoundingClientRect();
    const points = [...fingers.values()];
    const centre = [frame.left + place.x * frame.width, frame.top + place.y * frame.height];
    const from = grip === "mark" && points.length > 1 ? points[1] : centre;
    const [dx, dy] = [points[0][0] - from[0], points[0][1] - from[1]];
    const middle = points.length > 1 ? points[0].map((value, i) => (value + points[1][i]) / 2) : points[0];
    return { frame, middle, apart: Math.max(1, Math.hypot(dx, dy)), angle: (Math.atan2(dy, dx) * 180) / Math.PI };
  };
  const begin = () => { begun = { ...grasp(), place, two: fingers.size > 1 }; };

  box.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    event.preventDefault();
    if (!fingers.size) grip = event.target.closest(".size, .turn")?.className ?? "mark";
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    box.setPointerCapture(event.pointerId);
    mark.focus({ preventScroll: true });
    clearTimeout(timer);
    show(true);
    begin();
  });
  box.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const now = grasp();
    const change = {};
    if (grip === "mark") {
      change.x = begun.place.x + (now.middle[0] - begun.middle[0]) / now.frame.width;
      change.y = begun.place.y + (now.middle[1] - begun.middle[1]) / now.frame.height;
    }
    if (grip === "size" || begun.two) change.width = (begun.place.width * now.apart) / begun.apart;
    if (grip === "turn" || begun.two) change.angle = begun.place.angle + now.angle - begun.angle;
    move(change);
  });
  const release = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (fingers.size) return begin();
    const same = ["x", "y", "width", "angle"].every((name) => place[name] === data.place[name]);
    grip = null;
    if (same) show(false);
    else done();
  };
  box.addEventListener("pointerup", release);
  box.addEventListener("pointercancel", release);

  mark.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 0.05 : 0.01;
    const change = {
      ArrowLeft: { x: place.x - step },
      ArrowRight: { x: place.x + step },
      ArrowUp: { y: place.y - step },
      ArrowDown: { y: place.y + step },
      "+": { width: place.width + 0.01 },
      "-": { width: place.width - 0.01 },
      ",": { angle: place.angle - 2 },
      ".": { angle: place.angle + 2 },
    }[event.key];
    if (!change) return;
    event.preventDefault();
    event.stopPropagation();
    show(true);
    move(change);
    clearTimeout(timer);
    timer = setTimeout(() => { timer = 0; done(); }, SETTLED);
  });

  return {
    take(fresh, tell) {
      send = tell;
      data = fresh;
      if (fingers.size || timer) return; // somebody is at it
      place = { ...data.place };
      stage.style.width = `min(100%, ${26 * data.ratio}rem)`;
      stage.style.aspectRatio = data.ratio;
      mark.style.aspectRatio = data.aspect;
      mark.style.backgroundImage = `url("${data.mark}")`;
      stage.classList.toggle("refused", !data.printed);
      show(false);
      draw();
    },
  };
}
