// What the page does by itself, beyond what Streamlit offers. Runs once per tab; watches what is drawn anew.
(() => {
  if (window.studioWatches) return;
  window.studioWatches = true;

  // A drop zone has a name, so it cannot be said to be presentation only (axe: presentation-role-conflict).
  const mendDropZones = () =>
    document
      .querySelectorAll("[data-testid=stFileUploaderDropzone][role=presentation]")
      .forEach((zone) => zone.setAttribute("role", "group"));

  // A toast is a dialog without a name (axe: aria-dialog-name).
  const nameToasts = () =>
    document
      .querySelectorAll("[data-testid=stToast]:not([aria-label])")
      .forEach((toast) => toast.setAttribute("aria-label", "Message"));

  // What a button sent is brought into sight once its strip is there: on a phone it begins far below the form.
  const WAIT = 10_000; // ms
  const known = new Set();
  let pressed = -Infinity;
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("button") && !event.target.closest("header")) pressed = performance.now();
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey) pressed = performance.now();
  }, true);
  const nameOf = (strip) => [...strip.classList].find((name) => name.startsWith("st-key-strip-"));
  const showNewStrips = () => {
    const fresh = [...document.querySelectorAll("[class*=st-key-strip-]")].filter((strip) => !known.has(nameOf(strip)));
    fresh.forEach((strip) => known.add(nameOf(strip)));
    const sent = fresh.find((strip) => strip.querySelector("[class*=st-key-standing-]"));
    if (!sent || performance.now() - pressed > WAIT) return;
    pressed = -Infinity;
    const { top } = sent.getBoundingClientRect();
    if (top >= 60 && top < window.innerHeight / 2) return; // in sight
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    sent.scrollIntoView({ block: "start", behavior: calm ? "instant" : "smooth" });
  };

  // On a phone the navigation lies over the page: it goes once a page was chosen.
  document.addEventListener("click", (event) => {
    if (window.innerWidth > 768 || !event.target.closest?.("[data-testid=stSidebarNavLink]")) return;
    setTimeout(() => document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click(), 150);
  });

  const look = () => {
    mendDropZones();
    nameToasts();
    showNewStrips();
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  look();
})();
