// The folium page in its frame. It reports clicks, and receives the explained cell or place, the place under the
// pointer, the theme, and whether the search is on.
export function start({ element, props, trigger, watch }) {
  const frame = element.querySelector("iframe");
  const empty = element.querySelector(".ge-map-empty");
  let searching = true;
  const dark = () => document.body.classList.contains("dark");
  const tell = (message) => frame.contentWindow?.postMessage({ source: "geoexplain-studio", ...message }, "*");

  function show() {
    const page = props.value ? props.value.page : "";
    empty.hidden = Boolean(page);
    frame.hidden = !page;
    if (page && frame.srcdoc !== page) frame.srcdoc = page;
  }

  const explained = () => ({ target: props.target ?? null, place: props.place ?? null });
  frame.addEventListener("load", () => tell({ dark: dark(), searching, ...explained() }));
  window.addEventListener("message", ({ source, data }) => {
    if (source !== frame.contentWindow || !data || data.source !== "geoexplain-map") return;
    const place = { lat: data.lat, lng: data.lng };
    // A panel may use the click and prevent the default, which explains the cell there.
    if (document.dispatchEvent(new CustomEvent("geoexplain-picked", { detail: place, cancelable: true })))
      trigger("pick", place);
  });
  document.addEventListener("geoexplain-search", ({ detail }) => {
    searching = detail.searching ?? searching;
    tell(detail);
    if (detail.show) element.scrollIntoView({ block: "nearest" });
  });
  new MutationObserver(() => tell({ dark: dark() })).observe(document.body, {
    attributes: true,
    attributeFilter: ["class"],
  });
  watch("value", show);
  for (const prop of ["target", "place"]) watch(prop, () => tell(explained()));
  document.addEventListener("geoexplain-pointed", ({ detail }) => tell({ pointed: detail }));
  show();
}
