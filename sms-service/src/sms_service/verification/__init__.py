"""The life of a code: requested, limited, checked, and recorded for operators."""
