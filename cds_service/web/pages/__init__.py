"""Pages for people: the workbench, the policy and the form for missing facts. Rendered here, without a build step."""
