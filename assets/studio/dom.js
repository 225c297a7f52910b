// A node with a class and text. Names come from models and files of unknown origin: they reach the page as text only.
export function make(tag, className, content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (content !== undefined) node.textContent = content;
  return node;
}
