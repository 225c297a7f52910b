// What runs in the browser before the server is asked, and after it has answered. Each function gets the values of an
// event's inputs and returns those that are sent, or those of its outputs.

// What was asked about an image, or a model, and is not answered yet.
const pending = { image: 0, model: 0 };

// A question calls off what is being computed about something else.
export function ask(...inputs) {
  document.dispatchEvent(new Event("geoexplain-asks"));
  return inputs;
}

// The image is also what the page goes back to when it is refused.
export function askAboutImage(image, _shown, model) {
  pending.image += 1;
  return ask(image, image, model);
}

export function askAboutModel(...inputs) {
  pending.model += 1;
  return ask(...inputs);
}

// What the page shows follows the last answer; but what a person has chosen since, and asked about, stays.
function settle(what, answered, chosen) {
  pending[what] -= 1;
  return pending[what] > 0 ? chosen : answered;
}

export const settleImage = (answered, chosen) => settle("image", answered, chosen);
export const settleModel = (answered, chosen) => settle("model", answered, chosen);

// Work that takes long was called off, failed, or was refused by a full queue.
export function endWork(name) {
  document.dispatchEvent(new CustomEvent("geoexplain-ended", { detail: name }));
}
