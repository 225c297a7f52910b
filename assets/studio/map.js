// The folium page in its frame: clicks out; target, theme and whether the search counts in.
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

frame.addEventListener("load", () => tell({ dark: dark(), searching, ...(props.target == null ? {} : { target: props.target }) }));
window.addEventListener("message", ({ source, data }) => {
  if (source !== frame.contentWindow || !data || data.source !== "geoexplain-map") return;
  const place = { lat: data.lat, lng: data.lng };
  // Someone may want it for something else than to explain it.
  if (document.dispatchEvent(new CustomEvent("geoexplain-picked", { detail: place, cancelable: true }))) trigger("pick", place);
});
document.addEventListener("geoexplain-search", ({ detail }) => {
  searching = detail.searching ?? searching;
  tell(detail);
  if (detail.show) element.scrollIntoView({ block: "nearest" });
});
new MutationObserver(() => tell({ dark: dark() })).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", show);
watch("target", () => props.target == null || tell({ target: props.target }));
show();
