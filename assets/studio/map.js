// The folium page in its frame: clicks out; in go what is explained, what is pointed at, the theme, whether the search
// counts.
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
    // Someone may want it for something else than to explain it.
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
