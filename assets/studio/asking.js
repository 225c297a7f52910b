// Runs in the browser before a request is sent and after its answer has arrived. Each function receives the values of
// an event's inputs, and returns the values to send, or those of the event's outputs.

// The number of unanswered requests for another image or another model.
const pending = { image: 0, model: 0 };

// A request cancels all computations on demand, which belong to the last answer.
export function ask(...inputs) {
  document.dispatchEvent(new Event("geoexplain-asks"));
  return inputs;
}

// The image is sent twice: the copy comes back with the answer, so that the page can return to it after a refusal.
export function askAboutImage(image, _shown, model) {
  pending.image += 1;
  return ask(image, image, model);
}

export function askAboutModel(...inputs) {
  pending.model += 1;
  return ask(...inputs);
}

// Returns what belongs to the last answer, or keeps the user's choice while another request for it is unanswered.
function settle(what, answered, chosen) {
  pending[what] -= 1;
  return pending[what] > 0 ? chosen : answered;
}

export const settleImage = (answered, chosen) => settle("image", answered, chosen);
export const settleModel = (answered, chosen) => settle("model", answered, chosen);

// Reports that a long computation was cancelled, failed, or was refused by a full queue.
export function endWork(name) {
  document.dispatchEvent(new CustomEvent("geoexplain-ended", { detail: name }));
}
