// Makes a node with a class and text. Names come from untrusted models and files: they reach the page as text only.
export function make(tag, className, content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (content !== undefined) node.textContent = content;
  return node;
}
