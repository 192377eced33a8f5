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

  const look = () => {
    mendDropZones();
    nameToasts();
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  look();
})();
